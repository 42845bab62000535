/* conf/reference.c: docs/reference/settings.md, from the table. SPDX-License-Identifier: Apache-2.0
 */
#include "conf/settings.h"

#include <inttypes.h>
#include <string.h>

static void put_bounds(buf *out, const setting *row) {
  if (!row->least && !row->most) return;
  const char *unit = row->type == SETTING_DURATION ? " ms"
                     : row->type == SETTING_BYTES  ? " bytes"
                                                   : "";
  if (row->most == INT64_MAX)
    buf_printf(out, ", at least %" PRId64 "%s", row->least, unit);
  else
    buf_printf(out, ", %" PRId64 " to %" PRId64 "%s", row->least, row->most, unit);
}

static void put_row(buf *out, const setting *row) {
  if (row->type == SETTING_OPTION)
    buf_puts(out, "| *any other* | ");
  else
    buf_printf(out, "| `%s` | ", row->variable ? row->variable : row->key);
  buf_puts(out, settings_type_words(row->type));
  put_bounds(out, row);
  if (row->fallback)
    buf_printf(out, " | `%s` | ", row->fallback);
  else
    buf_puts(out, " | | ");
  buf_printf(out, "%s%s |\n", row->help, row->use == SETTING_LATER ? " *Not used yet.*" : "");
}

#define COLUMNS "\n\n| key | value | default | |\n|---|---|---|---|\n"

static void put_parts(buf *out, const char *title, const char *intro, settings parts) {
  buf_printf(out, "\n### %s\n\n%s" COLUMNS, title, intro);
  for (size_t i = 0; i < parts.len; i++) put_row(out, &parts.rows[i]);
}

/* Rows whose keys begin with the same word stand together. 0: the row is in no section. */
static int section_len(const setting *row) {
  if (!row->key) return 0;
  return strchr(row->key, '.') || settings_is_section(row->key) ? (int)strcspn(row->key, ".") : 0;
}

static bool starts_section(const setting *row, const setting *before) {
  int len = section_len(row);
  return len && (len != section_len(before) || strncmp(row->key, before->key, (size_t)len));
}

static const char INTRO[] =
    "# Settings\n\n"
    "Generated from `src/conf/settings.c`; edit there.\n\n"
    "`floe service --config-path FILE` reads a TOML file. Every key is also a variable: "
    "`PC_CUBLET__` and the key with `__` for\n"
    "each dot, for example `PC_CUBLET__worker__heartbeat_period=5s`. A variable wins over the "
    "file, and the file may be missing.\n"
    "An unknown key or variable is an error. White space around a variable's value does not "
    "count. Names in upper case are\n"
    "plain variables and no keys. An empty text is the same as a setting that is not given.\n"
    "*Not used yet*: checked, and named in the log when it is given.\n\n"
    "## Values\n\n"
    "| value | written as |\n|---|---|\n"
    "| true or false | in TOML `true`, `false`; in a variable also `1`, `0`, `yes`, `no` |\n"
    "| whole number | `104857600`, `1.048576e+08` |\n"
    "| size | a number of bytes, or `\"4GiB\"`, `\"4Gi\"` (1024), `\"512 MB\"`, `\"512M\"` "
    "(1000) |\n"
    "| duration | `\"5s\"`, `\"5 secs\"`, `\"1 hour 30 minutes\"`, `\"8h0m0s\"`, or ISO 8601: "
    "`\"PT5S\"`, `\"P1DT2H\"`; a day has 24 hours |\n"
    "| cores | `\"2\"`, `\"1.5\"`, `\"500m\"` (thousandths) |\n"
    "| address | `\"ip\"`, `\"ip:port\"`, `\"hostname:port\"`, `\":port\"` (all addresses), "
    "`\"[ipv6]:port\"`, or a table |\n"
    "| location | a table |\n";

void conf_print_reference(buf *out) {
  settings all = settings_all();
  buf_puts(out, INTRO);
  put_parts(out, "An address as a table", "For example `worker.task_service.bind_addr.port`.",
            settings_address_parts());
  put_parts(out, "A location in a folder: `local`, `shared_filesystem`",
            "For example `worker.shuffle_location.local.path`. A location is of one kind.",
            settings_location_parts(CONF_LOCATION_LOCAL));
  put_parts(out, "A location in an object store: `s3`, `gcs`, `abs`",
            "For example `scheduler.anonymous_result_location.s3.url`.",
            settings_location_parts(CONF_LOCATION_S3));
  buf_puts(out, "\n## The process" COLUMNS);
  for (size_t i = 0; i < all.len; i++) {
    const setting *row = &all.rows[i];
    if (i && starts_section(row, row - 1))
      buf_printf(out, "\n## %.*s" COLUMNS, section_len(row), row->key);
    put_row(out, row);
  }
}
