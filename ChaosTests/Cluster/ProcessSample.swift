import Foundation

/// What `/proc` and the file system say about a node.
struct ProcessSample {
  var residentBytes: UInt64
  /// The most that was resident since the process began.
  var peakBytes: UInt64
  var descriptors: Int
  var sockets: Int
  /// Open files, devices and rings, without segments of the log that are there. One that was removed counts.
  var files: Int
  var logBytes: UInt64
  var pageBytes: UInt64

  /// Nil when there is no such process.
  init?(pid: Int32, data: String) {
    guard let status = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8),
      let resident = Self.bytes("VmRSS:", in: status), let peak = Self.bytes("VmHWM:", in: status),
      let open = try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd")
    else { return nil }
    residentBytes = resident
    peakBytes = peak
    descriptors = open.count
    let targets = open.compactMap {
      try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/\($0)")
    }
    sockets = targets.count { $0.hasPrefix("socket:") }
    files = targets.count { !$0.hasPrefix("socket:") && !($0.contains("/log/") && $0.hasSuffix(".log")) }
    (logBytes, pageBytes) = Self.bytes(under: data)
  }

  private static func bytes(_ field: String, in status: String) -> UInt64? {
    let line = status.split(separator: "\n").first { $0.hasPrefix(field) }
    return line?.split { $0 == " " || $0 == "\t" }.dropFirst().first.flatMap { UInt64($0) }.map { $0 << 10 }
  }

  /// What the log segments and the page files of all lanes take of the disk.
  private static func bytes(under data: String) -> (log: UInt64, pages: UInt64) {
    var (log, pages): (UInt64, UInt64) = (0, 0)
    for lane in (try? FileManager.default.contentsOfDirectory(atPath: data)) ?? [] where lane.hasPrefix("lane-") {
      pages += allocated("\(data)/\(lane)/pages")
      for file in (try? FileManager.default.contentsOfDirectory(atPath: "\(data)/\(lane)/log")) ?? [] {
        log += allocated("\(data)/\(lane)/log/\(file)")
      }
    }
    return (log, pages)
  }

  private static func allocated(_ path: String) -> UInt64 {
    var facts = stat()
    return stat(path, &facts) == 0 ? UInt64(facts.st_blocks) * 512 : 0
  }

  /// State and consumed processor time in seconds; nil when there is no such process.
  static func processor(_ pid: Int32) -> (state: Substring, cpuSeconds: Double)? {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
      let name = text.lastIndex(of: ")")
    else { return nil }
    let fields = text[text.index(after: name)...].split(separator: " ")
    guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return nil }
    return (fields[0], (user + system) / Double(sysconf(Int32(_SC_CLK_TCK))))
  }
}

/// The whole machine: how far the figures of a run can be trusted.
struct MachineSample {
  var loadAverage: Double
  var stolen: UInt64
  var all: UInt64

  init() {
    let load = (try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8)) ?? ""
    loadAverage = load.split(separator: " ").first.flatMap { Double($0) } ?? 0
    let stat = (try? String(contentsOfFile: "/proc/stat", encoding: .utf8)) ?? ""
    let ticks = stat.split(separator: "\n").first?.split(separator: " ").dropFirst().compactMap { UInt64($0) } ?? []
    stolen = ticks.count > 7 ? ticks[7] : 0
    all = ticks.prefix(8).reduce(0, +)
  }

  /// The share of all processor time since `earlier` that the host took away.
  func stolenShare(since earlier: MachineSample) -> Double {
    all > earlier.all ? Double(stolen - earlier.stolen) / Double(all - earlier.all) : 0
  }
}

/// The flush counter of the disk under a directory: evidence that durable writes reach the device.
struct FlushCounter {
  private let path: String

  /// Nil when the file system stands on no block device (tmpfs).
  init?(directory: String) {
    var facts = stat()
    guard stat(directory, &facts) == 0 else { return nil }
    let major = (facts.st_dev >> 8) & 0xFFF | (facts.st_dev >> 32) & ~0xFFF
    let minor = facts.st_dev & 0xFF | (facts.st_dev >> 12) & ~0xFF
    let device = "/sys/dev/block/\(major):\(minor)"
    // Flushes are counted by whole disks.
    path = access(device + "/partition", F_OK) == 0 ? device + "/../stat" : device + "/stat"
    guard read() != nil else { return nil }
  }

  /// Flushes that the device has finished: the 16th number.
  func read() -> UInt64? {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
    let fields = text.split(whereSeparator: { $0 == " " || $0 == "\n" })
    return fields.count > 15 ? UInt64(fields[15]) : nil
  }
}
