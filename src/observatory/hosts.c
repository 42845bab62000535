/* observatory/hosts.c: see hosts.h. SPDX-License-Identifier: Apache-2.0 */
#include "observatory/hosts.h"

#include "base/map.h"
#include "base/mem.h"
#include "observatory/ring.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WORKERS = 4096, SILENT_MS = 60 * 1000 };

typedef struct host {
  uint32_t number; /* in the ring */
  int64_t seen_ms;
  Profile__HostSample *newest; /* owned */
} host;

struct hosts {
  ring *ring;
  map by_worker; /* instance_id → host */
};

hosts *hosts_new(size_t ring_bytes) {
  hosts *h = NEW(hosts);
  h->ring = ring_new(ring_bytes);
  return h;
}

void hosts_free(hosts *h) {
  if (!h) return;
  size_t at = 0;
  for (void *it; map_each(&h->by_worker, &at, &it);) {
    profile__host_sample__free_unpacked(((host *)it)->newest, NULL);
    free(it);
  }
  map_deinit(&h->by_worker);
  ring_free(h->ring);
  free(h);
}

static host *find(hosts *h, const char *worker) {
  host *found = map_get(&h->by_worker, worker, strlen(worker));
  if (found || h->by_worker.len >= MOST_WORKERS) return found;
  found = NEW(host);
  found->number = (uint32_t)h->by_worker.len;
  map_put(&h->by_worker, worker, strlen(worker), found);
  return found;
}

static Profile__HostSample *copy(const Profile__HostSample *s) {
  size_t n = profile__host_sample__get_packed_size(s);
  uint8_t *packed = mem_new(n + 1);
  profile__host_sample__pack(s, packed);
  Profile__HostSample *out = profile__host_sample__unpack(NULL, n, packed);
  free(packed);
  return out;
}

void hosts_take(hosts *h, const Profile__HostSample *s, int64_t now_ms) {
  host *of = find(h, s->worker);
  if (!of) return;
  ring_sample sample = {.at_ms = now_ms,
                        .time_us = s->time_us,
                        .worker = of->number,
                        .running_tasks = s->running_tasks,
                        .cpu_us_total = s->cpu_us_total,
                        .resident_bytes = s->resident_bytes,
                        .host_cpu_us_total = s->host_cpu_us_total,
                        .host_memory_bytes = s->host_memory_bytes,
                        .received_bytes_total = s->received_bytes_total,
                        .sent_bytes_total = s->sent_bytes_total,
                        .disk_free_bytes = s->disk_free_bytes};
  for (size_t i = 0; i < s->n_executors; i++)
    if (s->executors[i]->peak_bytes > sample.peak_bytes)
      sample.peak_bytes = s->executors[i]->peak_bytes;
  ring_add(h->ring, &sample);
  of->seen_ms = now_ms;
  profile__host_sample__free_unpacked(of->newest, NULL);
  of->newest = copy(s);
}

/* ---- JSON ---- */

static json_t *text(const char *said) {
  json_t *t = json_string(said);
  return t ? t : json_string("(not UTF-8)");
}

static char *print(json_t *o) {
  char *out = json_dumps(o, JSON_COMPACT);
  json_decref(o);
  return out;
}

static json_t *executors_json(const Profile__HostSample *s) {
  json_t *items = json_array();
  for (size_t i = 0; i < s->n_executors; i++) {
    const Profile__ExecutorSample *x = s->executors[i];
    json_array_append_new(items, json_pack("{s:I, s:I, s:I, s:I}", "pid", (json_int_t)x->pid,
                                           "cpu_us_total", (json_int_t)x->cpu_us_total,
                                           "resident_bytes", (json_int_t)x->resident_bytes,
                                           "peak_bytes", (json_int_t)x->peak_bytes));
  }
  return items;
}

static json_t *host_json(const host *h, int64_t now_ms) {
  const Profile__HostSample *s = h->newest;
  json_t *o = json_pack("{s:o, s:o, s:I, s:I, s:o, s:f, s:o}", "instance_id", text(s->worker),
                        "incarnation", text(s->incarnation), "time_us", (json_int_t)s->time_us,
                        "seen_ms_ago", (json_int_t)(now_ms - h->seen_ms), "source", text(s->source),
                        "cores", s->cores, "executors", executors_json(s));
  const struct {
    const char *name;
    uint64_t value;
  } numbers[] = {{"cpu_us_total", s->cpu_us_total},
                 {"resident_bytes", s->resident_bytes},
                 {"host_cpu_us_total", s->host_cpu_us_total},
                 {"host_memory_bytes", s->host_memory_bytes},
                 {"host_memory_limit", s->host_memory_limit},
                 {"received_bytes_total", s->received_bytes_total},
                 {"sent_bytes_total", s->sent_bytes_total},
                 {"disk_bytes", s->disk_bytes},
                 {"disk_free_bytes", s->disk_free_bytes},
                 {"slots", s->slots},
                 {"running_tasks", s->running_tasks},
                 {"dropped_total", s->dropped_total}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    json_object_set_new(o, numbers[i].name, json_integer((json_int_t)numbers[i].value));
  return o;
}

char *hosts_json(const hosts *h, int64_t now_ms) {
  json_t *items = json_array();
  size_t at = 0;
  for (void *it; map_each(&h->by_worker, &at, &it);)
    json_array_append_new(items, host_json(it, now_ms));
  return print(json_pack("{s:o}", "workers", items));
}

typedef struct series {
  json_t *items;
  ring_sample last;
} series;

/* By second, in so many of the counter's units; one that went back began anew. */
static json_t *rate(uint64_t from, uint64_t to, double unit, int64_t us) {
  if (us <= 0 || to < from) return json_null();
  return json_real((double)(to - from) * 1e6 / (double)us / unit);
}

static void on_sample(void *arg, const ring_sample *s) {
  series *all = arg;
  int64_t us = all->last.time_us ? s->time_us - all->last.time_us : 0;
  const ring_sample *l = &all->last;
  json_t *o = json_pack("{s:I, s:i, s:I, s:I, s:I, s:I}", "time_us", (json_int_t)s->time_us,
                        "running_tasks", (int)s->running_tasks, "resident_bytes",
                        (json_int_t)s->resident_bytes, "peak_bytes", (json_int_t)s->peak_bytes,
                        "host_memory_bytes", (json_int_t)s->host_memory_bytes, "disk_free_bytes",
                        (json_int_t)s->disk_free_bytes);
  const struct {
    const char *name;
    uint64_t from, to;
    double unit;
  } rates[] = {
      {"cores_used", l->cpu_us_total, s->cpu_us_total, 1e6},
      {"host_cores_used", l->host_cpu_us_total, s->host_cpu_us_total, 1e6},
      {"received_bytes_per_s", l->received_bytes_total, s->received_bytes_total, 1},
      {"sent_bytes_per_s", l->sent_bytes_total, s->sent_bytes_total, 1},
  };
  for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
    json_object_set_new(o, rates[i].name, rate(rates[i].from, rates[i].to, rates[i].unit, us));
  json_array_append_new(all->items, o);
  all->last = *s;
}

char *hosts_series_json(const hosts *h, const char *worker, int64_t now_ms, int64_t seconds,
                        int64_t points) {
  const host *of = map_get(&h->by_worker, worker, strlen(worker));
  if (!of) return NULL;
  series all = {.items = json_array()};
  ring_each(h->ring, of->number, now_ms - seconds * 1000, seconds * 1000 / points, on_sample, &all);
  return print(json_pack("{s:o, s:o}", "worker", text(worker), "samples", all.items));
}

/* ---- Prometheus ---- */

static void put_label(buf *out, const char *value) {
  for (const char *c = value; *c; c++) {
    if (*c == '"' || *c == '\\') buf_puts(out, "\\");
    buf_printf(out, "%c", *c == '\n' ? ' ' : *c);
  }
}

void hosts_print_metrics(const hosts *h, int64_t now_ms, buf *out) {
  static const struct {
    const char *name, *type;
    size_t offset;
  } METRICS[] = {
#define M(name, type, field) {"floe_worker_" name, type, offsetof(Profile__HostSample, field)}
      M("cpu_microseconds_total", "counter", cpu_us_total),
      M("resident_bytes", "gauge", resident_bytes),
      M("host_cpu_microseconds_total", "counter", host_cpu_us_total),
      M("host_memory_bytes", "gauge", host_memory_bytes),
      M("network_received_bytes_total", "counter", received_bytes_total),
      M("network_sent_bytes_total", "counter", sent_bytes_total),
      M("shuffle_disk_free_bytes", "gauge", disk_free_bytes),
      M("reports_dropped_total", "counter", dropped_total),
  };
  for (size_t i = 0; i < sizeof METRICS / sizeof *METRICS; i++) {
    buf_printf(out, "# TYPE %s %s\n", METRICS[i].name, METRICS[i].type);
    size_t at = 0;
    for (void *it; map_each(&h->by_worker, &at, &it);) {
      const host *w = it;
      if (now_ms - w->seen_ms > SILENT_MS) continue;
      buf_printf(out, "%s{worker=\"", METRICS[i].name);
      put_label(out, w->newest->worker);
      buf_printf(out, "\"} %llu\n",
                 (unsigned long long)*(const uint64_t *)(const void *)((const char *)w->newest +
                                                                       METRICS[i].offset));
    }
  }
}
