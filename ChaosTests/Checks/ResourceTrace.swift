import Primitives

/// What one node used, second by second, and what bars ask of that.
struct ResourceTrace {
  private(set) var samples: [ProcessSample] = []

  mutating func add(_ sample: ProcessSample) { samples.append(sample) }

  /// Resident bytes at any moment, also between two samples: the kernel keeps the highest.
  var peakBytes: UInt64 { samples.map { max($0.residentBytes, $0.peakBytes) }.max() ?? 0 }
  var socketsMax: Int { samples.map(\.sockets).max() ?? 0 }
  var diskBytesMax: UInt64 { samples.map(\.diskBytes).max() ?? 0 }

  /// The mean of the last third over that of the one before. A file grows and a checkpoint ends at moments of their own,
  /// so single samples say little.
  func growth(_ value: (ProcessSample) -> UInt64) -> Double {
    let third = samples.count / 3
    let late = samples.suffix(third).map { Double(value($0)) }
    let early = samples.dropLast(third).suffix(third).map { Double(value($0)) }
    let sum = early.reduce(0, +)
    return sum > 0 ? late.reduce(0, +) / sum : 0
  }
}

extension ProcessSample {
  var diskBytes: UInt64 { logBytes + pageBytes }

  var text: String {
    "rss \(residentBytes >> 20) MiB, sockets \(sockets), other fds \(descriptors - sockets), "
      + "log \(logBytes >> 20) MiB, pages \(pageBytes >> 20) MiB"
  }
}
