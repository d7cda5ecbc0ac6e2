import Glibc
import Ring

/// What this process uses, from /proc. Read when somebody asks for metrics.
struct ProcessUsage {
  /// Bytes.
  var residentBytes: UInt64 = 0
  var virtualBytes: UInt64 = 0
  /// Nanoseconds of processor time, user and system.
  var cpuNanoseconds: UInt64 = 0
  var openDescriptors: UInt64 = 0
  var descriptorsMax: UInt64 = 0

  init() {
    readMemory()
    readTimes()
    var limit = rlimit()
    if getrlimit(__rlimit_resource_t(7), &limit) == 0 { descriptorsMax = UInt64(limit.rlim_cur) }
    do throws(SystemError) { openDescriptors = UInt64(max(0, try FileSystem.list("/proc/self/fd").count - 1)) } catch {}
  }

  /// Bytes.
  static func residentBytes() -> UInt64 {
    var usage = ProcessUsage(memoryOnly: ())
    usage.readMemory()
    return usage.residentBytes
  }

  private init(memoryOnly: ()) {}

  private mutating func readMemory() {
    guard let fields = try? Self.fields("/proc/self/statm"), fields.count > 1 else { return }
    let page = UInt64(sysconf(Int32(_SC_PAGESIZE)))
    virtualBytes = (UInt64(fields[0]) ?? 0) * page
    residentBytes = (UInt64(fields[1]) ?? 0) * page
  }

  private mutating func readTimes() {
    var usage = rusage()
    guard getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return }
    for time in [usage.ru_utime, usage.ru_stime] {
      cpuNanoseconds += UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_usec) * 1000
    }
  }

  /// Files of /proc have no size: read until nothing comes.
  private static func fields(_ path: String) throws(SystemError) -> [Substring] {
    let file = try File(path, .read)
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = bytes.withUnsafeMutableBytes { pread(file.descriptor, $0.baseAddress, $0.count, 0) }
    guard count > 0 else { return [] }
    return String(decoding: bytes[..<count], as: UTF8.self).split { $0 == " " || $0 == "\n" }
  }
}
