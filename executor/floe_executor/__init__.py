"""What runs beside Polars in an executor: one process, one plan at a time, told by a Floe worker.

link      frames on descriptor 3
interrupt SIGINT, only while a task runs
identity  what this Polars is: versions, plan header, fingerprint
task      run one plan, count and show its rows
inputs    scans in place of a stage's leaves
output    a stage's rows for later stages
leaf      what stands where a plan was cut
describe  what the planner wants to know of a plan
capture   what Polars would push from stage to stage

SPDX-License-Identifier: Apache-2.0
"""
