// Where instructions and allocations are counted. See Tests/Budgets/Program/Budgets.swift.
#pragma once
#include <stdint.h>

/// Calls `work(context)`. callgrind counts from the entry of this function to its return (--toggle-collect=fs_budget_counted);
/// allocations meanwhile are counted here, since callgrind counts calls always.
void fs_budget_counted(void (*work)(void *context), void *context);

/// Blocks of memory that were asked for, or made larger or smaller, inside `fs_budget_counted`.
uint64_t fs_budget_allocations(void);
