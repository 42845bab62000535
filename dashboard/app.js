// The dashboard: asks the REST interface every second and draws what it says. No library, nothing
// from elsewhere. Text from queries only ever becomes text nodes.

const PERIOD_MS = 1000;
const element = (id) => document.getElementById(id);

async function get(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

function row(cells) {
  const tr = document.createElement("tr");
  for (const cell of cells) {
    const td = document.createElement("td");
    td.append(cell);
    tr.append(td);
  }
  return tr;
}

function link(id) {
  const a = document.createElement("a");
  a.href = `#${id}`;
  a.textContent = id;
  return a;
}

function badge(status) {
  const span = document.createElement("span");
  span.className = `status ${status}`;
  span.textContent = status;
  return span;
}

const clock = (time) => (time ? new Date(time).toLocaleTimeString() : "");

function seconds(query) {
  if (!query.start_time) return "";
  const end = query.end_time ? new Date(query.end_time) : new Date();
  return `${((end - new Date(query.start_time)) / 1000).toFixed(3)} s`;
}

function drawCluster(cluster) {
  const open = cluster.has_token ? "" : " · no cluster token: workers are not authenticated";
  element("about").textContent = `${cluster.cluster_id || "cluster"} · version ${cluster.version}${open}`;
  element("workers").replaceChildren(
    ...cluster.workers.map((w) =>
      row([
        w.instance_id,
        w.host,
        `${w.busy} of ${w.slots}`,
        w.runtimes.map((r) => `polars ${r.polars} (Python ${r.python})`).join(", "),
        `${(w.seen_ms_ago / 1000).toFixed(0)} s ago`,
      ]),
    ),
  );
}

function drawQueries(queries) {
  queries.sort((a, b) => b.request_time.localeCompare(a.request_time));
  element("queries").replaceChildren(
    ...queries.slice(0, 200).map((q) =>
      row([link(q.id), q.user.name, badge(q.status), q.polars_version, clock(q.request_time), seconds(q)]),
    ),
  );
}

function drawDetails(query) {
  element("details").hidden = !query;
  if (!query) return;
  const facts = Object.entries(query).filter(([, value]) => value !== null && value !== "");
  element("facts").replaceChildren(
    ...facts.flatMap(([name, value]) => {
      const dt = document.createElement("dt");
      const dd = document.createElement("dd");
      dt.textContent = name.replaceAll("_", " ");
      dd.textContent = typeof value === "object" ? JSON.stringify(value) : String(value);
      return [dt, dd];
    }),
  );
}

const count = (number) => number.toLocaleString();

function drawStages(shown) {
  const stages = shown?.stages ?? [];
  const planned = shown?.planning?.total_ms;
  element("whole").textContent = [
    shown?.whole_because ? `Not distributed: ${shown.whole_because}` : "",
    planned ? `Planning took ${planned.toFixed(1)} ms` : "",
  ].filter(Boolean).join(" · ");
  element("stages").hidden = !stages.length;
  element("stage-rows").replaceChildren(
    ...stages.map(({ stage, why, run }) =>
      row(
        run
          ? [stage, why, `${run.tasks_done} of ${run.tasks}`, run.workers, count(run.rows), count(run.bytes), `${(run.cpu_us / 1e6).toFixed(3)} s`]
          : [stage, why, "waits", "", "", "", ""],
      ),
    ),
  );
  element("stage-text").textContent = shown?.text ?? "";
}

async function drawQuery(id) {
  const path = `/api/v1/query/${encodeURIComponent(id)}`;
  const [query, stages] = await Promise.all([path, `${path}/stages`].map((p) => get(p).catch(() => null)));
  drawDetails(query);
  drawStages(stages);
}

async function refresh() {
  try {
    const [cluster, { queries }] = await Promise.all([get("/api/v1/cluster"), get("/api/v1/queries")]);
    drawCluster(cluster);
    drawQueries(queries);
    const id = location.hash.slice(1);
    if (id) await drawQuery(id);
    else drawDetails(null);
    element("live").textContent = "";
  } catch (error) {
    element("live").textContent = `not reachable: ${error.message}`;
  }
}

async function loop() {
  await refresh();
  setTimeout(loop, PERIOD_MS);
}

addEventListener("hashchange", refresh);
loop();
