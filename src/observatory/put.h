/* observatory/put.h: a report's queries and attempts into the tables. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef FLOE_OBSERVATORY_PUT_H
#define FLOE_OBSERVATORY_PUT_H

#include <profile.pb-c.h>
#include <sqlite3.h>

/* SQLITE_OK, or SQLite's code; within a transaction of the caller's. What is wrong in the report
 * itself is left out, with a warning in the log. */
int put_report(sqlite3 *db, const Profile__Report *report);

#endif
