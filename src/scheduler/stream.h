/* scheduler/stream.h: a result that its client streams, as the scheduler sees it.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The tasks of the result's stages leave their rows at their workers, a file each, in a folder of
 * this result's own: it outlives the query. As tasks finish, their files become parts of what
 * flight/ serves, in the order of rows if the client asked for it. A part that was read is deleted;
 * what is never read goes with its time to live. Rows that a client may have seen cannot be
 * computed again: the stages of such a query are not repeated.
 *
 * Lives from the submission until all is read or given up, which is longer than the query runs. */
#ifndef FLOE_SCHEDULER_STREAM_H
#define FLOE_SCHEDULER_STREAM_H

#include "base/err.h"
#include "net/grpc_server.h"
#include "scheduler/execution.h"

typedef struct stream stream;

stream *stream_new(struct scheduler *s, struct query *q); /* and puts it there */
const char *stream_folder(const stream *sm);              /* below the shuffle folder of a worker */
bool stream_is_folder(const struct scheduler *s, uuid id); /* of any result that is kept */
/* A task of the result begins there. */
void stream_begin(stream *sm, const step_host *host);
/* A task of the result has written its file. RC_DATA_LOSS: it does not fit to the others. */
MUST_CHECK rc stream_take(stream *sm, step_task *t, const Cluster__TaskOutput *o, err *e);
/* The result's stages run again. RC_PRECONDITION: the client may have seen rows of them. */
MUST_CHECK rc stream_restart(stream *sm, err *e);
void stream_end(stream *sm); /* its query has ended; may free it */
/* Files and all. */
void stream_delete(stream *sm);
void stream_free_all(struct scheduler *s); /* it ends */

/* GetQueryStatus, which the client asks before it reads. A query that has failed by then raises its
 * own exception there, a later failure does not: so the answer waits. */
bool stream_holds_status(const stream *sm);
void stream_wait_for_status(stream *sm, grpc_call *call);

#endif
