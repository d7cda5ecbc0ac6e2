import Foundation

/// What the machine counts by itself: flushes of its disks, and processor time of processes.
enum Counting {
  /// Flushes of all disks: durable writes through io_uring are no system calls that could be traced, but these show.
  static func flushes() -> UInt64 {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/sys/block")) ?? []
    return names.reduce(0) { sum, name in
      sum + flushes((try? String(contentsOfFile: "/sys/block/\(name)/stat", encoding: .utf8)) ?? "")
    }
  }

  /// Of one disk's `stat`: the 16th number.
  static func flushes(_ stat: String) -> UInt64 {
    let fields = stat.split(whereSeparator: \.isWhitespace)
    return fields.count > 15 ? UInt64(fields[15]) ?? 0 : 0
  }

  /// Seconds that these processes have used, user and system.
  static func processorTime(_ processes: [Int32]) throws(BenchError) -> Double {
    var ticks = 0.0
    for process in processes {
      let text = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
      guard let used = self.ticks(text) else { throw .failed("there is no process \(process)") }
      ticks += used
    }
    return ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
  }

  /// Of `/proc/PID/stat`, `PID (name) state …`: utime and stime, which are the 14th and 15th. A name may hold anything.
  static func ticks(_ stat: String) -> Double? {
    guard let name = stat.lastIndex(of: ")") else { return nil }
    let fields = stat[stat.index(after: name)...].split(separator: " ")
    guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return nil }
    return user + system
  }
}
