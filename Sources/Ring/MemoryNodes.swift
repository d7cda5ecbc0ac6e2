import CLinux
import CNuma
import Glibc

/// NUMA: each part of the memory is near some processors and far from the others, by a *node* of the machine. On a machine of one
/// node, and where the kernel tells nothing, none of this does anything.
package enum MemoryNodes {
  /// Nodes that the machine has, at least 1.
  package static let count: Int = numa_available() < 0 ? 1 : max(1, Int(numa_num_configured_nodes()))

  /// The node of the processor on which the calling thread runs.
  package static var current: Int {
    guard count > 1 else { return 0 }
    return max(0, Int(numa_node_of_cpu(fs_processor())))
  }

  /// Keeps the calling thread, and those that it starts, on the processors of a node. False when the kernel refuses.
  @discardableResult
  package static func stay(on node: Int) -> Bool { count == 1 || numa_run_on_node(Int32(node)) == 0 }

  /// What is first touched from now on of `bytes`, whole pages, is taken from `node` as long as that has any: a full node
  /// costs speed, nothing else. False when the kernel refuses.
  @discardableResult
  package static func prefer(_ node: Int, for bytes: UnsafeMutableRawBufferPointer) -> Bool {
    guard count > 1, node < UInt.bitWidth else { return count == 1 }
    var mask = UInt(1) << UInt(node)
    return mbind(bytes.baseAddress, UInt(bytes.count), Int32(MPOL_PREFERRED), &mask, UInt(UInt.bitWidth), 0) == 0
  }

  /// Of pages that were touched, how many are on `node`: among so many addresses spread over `bytes`.
  package static func nearness(
    of bytes: UnsafeRawBufferPointer, to node: Int, samples: Int = 256
  ) -> (near: Int, resident: Int) {
    guard let base = bytes.baseAddress, !bytes.isEmpty else { return (0, 0) }
    let stride = max(pageBytes, bytes.count / samples / pageBytes * pageBytes)
    var pages = Swift.stride(from: 0, to: bytes.count, by: stride).map {
      UnsafeMutableRawPointer(mutating: base + $0) as UnsafeMutableRawPointer?
    }
    var status = [Int32](repeating: -1, count: pages.count)
    guard move_pages(0, UInt(pages.count), &pages, nil, &status, 0) == 0 else { return (0, 0) }
    return (status.count { $0 == Int32(node) }, status.count { $0 >= 0 })
  }

  private static let pageBytes = Int(sysconf(Int32(_SC_PAGESIZE)))
}
