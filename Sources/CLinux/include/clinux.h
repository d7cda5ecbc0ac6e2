// The C shim: what Swift cannot import (macros, intrinsics, variadics). No logic of ours lives here.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// CRC-32C (Castagnoli), reflected, initial and final XOR applied; `crc` is the value of the bytes before (0 at first).
uint32_t fs_crc32c(uint32_t crc, const void *bytes, size_t count);
