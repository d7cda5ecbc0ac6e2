import Foundation

/// The memory that the process may use, page cache included, where control groups (of either version) limit it.
enum MemoryLimit {
  /// Bytes; nil when nothing limits it.
  static func current() -> Int? {
    let groups = (try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8)) ?? ""
    let limits = files(groups).compactMap { limit((try? String(contentsOfFile: $0, encoding: .utf8)) ?? "") }
    return limits.min()
  }

  /// Where the limits of the process's groups stand: of its own and of those around it.
  static func files(_ groups: String) -> [String] {
    groups.split(separator: "\n").flatMap { line in
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
      guard fields.count == 3 else { return [String]() }
      if fields[1].isEmpty { return around(fields[2]).map { "/sys/fs/cgroup\($0)/memory.max" } }
      guard fields[1].split(separator: ",").contains("memory") else { return [] }
      return around(fields[2]).map { "/sys/fs/cgroup/memory\($0)/memory.limit_in_bytes" }
    }
  }

  /// `/a/b` is in `/a`, which is in the root, whose path is empty.
  private static func around(_ path: String) -> [String] {
    var names = path.split(separator: "/")
    var paths: [String] = []
    while !names.isEmpty {
      paths.append("/" + names.joined(separator: "/"))
      names.removeLast()
    }
    return paths + [""]
  }

  /// `max`, and numbers beyond all machines, are no limits.
  static func limit(_ text: String) -> Int? {
    guard let bytes = Int(text.filter { !$0.isWhitespace }), bytes < 1 << 60 else { return nil }
    return bytes
  }
}
