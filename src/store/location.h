/* store/location.h: where results go, and how clients reach them. SPDX-License-Identifier:
 * Apache-2.0
 *
 * A location is a directory or an S3 bucket; the configuration says which, everybody else uses
 * these verbs. A query's result is <location>/<query id>/part-00000.parquet, part-00001.parquet …,
 * in the order of its rows. Objects are reached by
 * presigned URLs, so that neither workers nor clients hold credentials. Immutable: any thread. */
#ifndef FLOE_STORE_LOCATION_H
#define FLOE_STORE_LOCATION_H

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "conf/conf.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOCATION_FIRST_PART "part-00000.parquet"
typedef struct location_part_name {
  char s[32];
} location_part_name;
location_part_name location_part(uint32_t part); /* the file name of part 0, 1, … */

typedef struct location location;

/* Copies what it needs. SHARED is a directory that all machines see. Options have the names that
 * scan_parquet's storage_options accept (aws_region, endpoint_url …, any case); what they leave
 * out comes from the environment (AWS_REGION, AWS_ACCESS_KEY_ID …). RC_INVALID: something is
 * missing or wrong; RC_UNIMPLEMENTED: GCS and ABS. Texts do not say which setting: the caller does.
 */
MUST_CHECK rc location_new(const conf_location *c, location **out, err *e);
void location_free(location *l); /* NULL is fine */

bool location_is_local(const location *l);
const char *location_folder(const location *l); /* NULL: it is none */

/* Where a part of a query's result is written: into a directory, or to a URL. Strings are owned. */
typedef struct location_target {
  char *directory; /* local: the query's own; nobody has made it yet */
  char *put_url;   /* S3: a presigned PUT, valid for 7 days; a secret: never in a log */
  char *location;  /* S3: "s3://bucket/…/part-00000.parquet", for people */
} location_target;

MUST_CHECK rc location_result_target(const location *l, query_id q, uint32_t part, int64_t wall_us,
                                     location_target *out, err *e);
void location_target_deinit(location_target *t);

/* What a client opens: a path, or a presigned GET on the external endpoint. Appends to `out`. */
MUST_CHECK rc location_result_url(const location *l, query_id q, uint32_t part, int64_t wall_us,
                                  buf *out, err *e);

/* A part in a folder, for reading. RC_NOT_FOUND: it is not there, on this machine. Blocking. */
MUST_CHECK rc location_result_open(const location *l, query_id q, uint32_t part, int *fd, err *e);

/* Removes the result, parts 0 … n_parts − 1. Blocking, for a thread pool; what is gone already is
 * RC_OK. Whether that is allowed (allow_deletes) is the caller's question. Set *cancel (may be
 * NULL) from another thread to give up on a store that does not answer: RC_CANCELLED within about a
 * second. */
MUST_CHECK rc location_result_delete(const location *l, query_id q, uint32_t n_parts,
                                     int64_t wall_us, const atomic_bool *cancel, err *e);

#endif
