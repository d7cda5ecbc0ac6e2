import Glibc

/// Tests that repeat something many times take a share of it where every change passes, and all of it in the long stages,
/// which have FILESTORE_LONG_TESTS in their environment.
package let isLongRun = getenv("FILESTORE_LONG_TESTS") != nil

/// `all` in the long stages, else `share`.
package func scaled<Value>(_ share: Value, long all: Value) -> Value { isLongRun ? all : share }
