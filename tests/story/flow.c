/* story/flow.c: see flow.h. SPDX-License-Identifier: Apache-2.0 */
#include "flow.h"

const flow_shape flow_shapes[FLOW_N_SHAPES] = {
    {1, {{1, 0, true}}},
    /* scan, partial sums → sums → sort → result */
    {4, {{6, 0, false}, {3, 1, false}, {1, 2, false}, {1, 4, true}}},
    /* two scans, joined, with a broadcast of a third → sums → result */
    {6,
     {{4, 0, false},
      {3, 0, false},
      {1, 0, false},
      {4, 1 | 2 | 4, false},
      {2, 8, false},
      {1, 16, true}}},
    /* a common subtree read twice → joined with itself, in several parts of the result */
    {4, {{5, 0, false}, {2, 1, false}, {2, 1, false}, {3, 2 | 4, true}}},
    /* a union: two final stages */
    {4, {{3, 0, false}, {2, 0, false}, {2, 1, true}, {1, 2, true}}},
};

uint32_t flow_next(const flow *f) {
  for (uint32_t i = 0; i < f->shape->n_stages; i++) {
    uint32_t reads = f->shape->stages[i].reads;
    if (!(f->open & 1u << i) && (f->finished & reads) == reads) return i;
  }
  return FLOW_STAGES;
}

void flow_opened(flow *f, uint32_t stage, uint32_t number) {
  f->open |= 1u << stage;
  f->numbers[stage] = number;
}

uint32_t flow_find(const flow *f, uint32_t number) {
  for (uint32_t i = 0; i < f->shape->n_stages; i++)
    if (f->open & 1u << i && f->numbers[i] == number) return i;
  return FLOW_STAGES;
}

void flow_restart(flow *f) {
  *f = (flow){.shape = f->shape};
}
