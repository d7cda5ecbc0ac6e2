#pragma once
#include <features.h> // before liburing's own _XOPEN_SOURCE, so that its types agree with those of Glibc
#include <liburing.h>
