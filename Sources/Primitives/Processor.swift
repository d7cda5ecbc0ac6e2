import CLinux

/// Asks the processor for the cache line at `address`, which will be read soon; costs an instruction and changes nothing. For
/// lines whose addresses are known before they are wanted: they come from memory together, and not one after the other.
@inlinable @inline(__always) package func prefetch(_ address: UnsafeRawPointer) { fs_prefetch(address) }

/// One of two numbers, without a branch: for conditions that no processor foresees.
@inlinable @inline(__always) package func select(_ condition: Bool, _ yes: Int, _ no: Int) -> Int {
  fs_select(condition ? 1 : 0, yes, no)
}
