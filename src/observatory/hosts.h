/* observatory/hosts.h: the workers' machines: the newest of each, and how it was.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLOE_OBSERVATORY_HOSTS_H
#define FLOE_OBSERVATORY_HOSTS_H

#include "base/buf.h"

#include <profile.pb-c.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hosts hosts;

hosts *hosts_new(size_t ring_bytes);
void hosts_free(hosts *h);
void hosts_take(hosts *h, const Profile__HostSample *sample, int64_t now_ms);
/* JSON, the caller's. {"workers": [the newest of each, with its executors]} */
char *hosts_json(const hosts *h, int64_t now_ms);
/* {"worker", "samples": [{"time", "cpu", "memory" …}]} of the last seconds, about so many points;
 * rates are of the time between two samples. NULL: no such worker. */
char *hosts_series_json(const hosts *h, const char *worker, int64_t now_ms, int64_t seconds,
                        int64_t points);
void hosts_print_metrics(const hosts *h, int64_t now_ms, buf *out); /* for Prometheus */

#endif
