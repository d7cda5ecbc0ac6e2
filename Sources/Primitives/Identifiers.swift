// Numbers that are not numbers. Each has a raw value in a fixed width, because each stands in a format.

/// A Raft term: raised by each election, never falls.
@usableFromInline package struct Term: Hashable, Comparable, Sendable, CustomStringConvertible {
  @usableFromInline package var rawValue: UInt64
  @inlinable package init(_ rawValue: UInt64) { self.rawValue = rawValue }
  @inlinable package static var zero: Self { Term(0) }
  @inlinable package static func < (a: Term, b: Term) -> Bool { a.rawValue < b.rawValue }
  @inlinable package var next: Term { Term(rawValue + 1) }
  @inlinable package var description: String { "t\(rawValue)" }
}

/// A position in one shard's log. The first entry has index 1; 0 means "before the log".
@usableFromInline package struct LogIndex: Hashable, Comparable, Sendable, CustomStringConvertible {
  @usableFromInline package var rawValue: UInt64
  @inlinable package init(_ rawValue: UInt64) { self.rawValue = rawValue }
  @inlinable package static var zero: Self { LogIndex(0) }
  @inlinable package static func < (a: LogIndex, b: LogIndex) -> Bool { a.rawValue < b.rawValue }
  @inlinable package static func + (a: LogIndex, n: UInt64) -> LogIndex { LogIndex(a.rawValue + n) }
  @inlinable package var next: LogIndex { LogIndex(rawValue + 1) }
  /// The index before this one; before the first stands zero.
  @inlinable package var previous: LogIndex { LogIndex(rawValue == 0 ? 0 : rawValue - 1) }
  @inlinable package var description: String { "i\(rawValue)" }
}

/// A node of the cluster. Shown to people as its name, `n1`, `n2`, …
@usableFromInline package struct NodeID: Hashable, Comparable, Sendable, CustomStringConvertible {
  @usableFromInline package var rawValue: UInt32
  @inlinable package init(_ rawValue: UInt32) { self.rawValue = rawValue }
  @inlinable package static func < (a: NodeID, b: NodeID) -> Bool { a.rawValue < b.rawValue }
  @inlinable package var description: String { "n\(rawValue)" }

  /// Reads a name as `description` writes it; nil for anything else.
  package init?(name: some StringProtocol) {
    guard name.first == "n", let value = UInt32(name.dropFirst()), value > 0, "n\(value)" == name else { return nil }
    rawValue = value
  }
}

/// A shard: a range of keys, kept by one Raft group.
@usableFromInline package struct ShardID: Hashable, Comparable, Sendable, CustomStringConvertible {
  @usableFromInline package var rawValue: UInt64
  @inlinable package init(_ rawValue: UInt64) { self.rawValue = rawValue }
  @inlinable package static func < (a: ShardID, b: ShardID) -> Bool { a.rawValue < b.rawValue }
  @inlinable package var description: String { "s\(rawValue)" }
}

/// A lane: one journal and one store of a node.
@usableFromInline package struct LaneID: Hashable, Sendable {
  @usableFromInline package var rawValue: UInt16
  @inlinable package init(_ rawValue: UInt16) { self.rawValue = rawValue }
}

/// A random number given to a data directory when it is formatted. A wiped or copied directory is told by it.
@usableFromInline package struct Incarnation: Hashable, Comparable, Sendable, CustomStringConvertible {
  @usableFromInline package var rawValue: UInt64
  @inlinable package init(_ rawValue: UInt64) { self.rawValue = rawValue }
  @inlinable package static func < (a: Incarnation, b: Incarnation) -> Bool { a.rawValue < b.rawValue }
  @inlinable package var description: String { String(rawValue, radix: 16) }
}

/// A row's version and etag: for now (log index << 20 | ordinal in the entry), later the oracle's timestamp.
@usableFromInline package struct Timestamp: Hashable, Comparable, Sendable, CustomStringConvertible {
  @usableFromInline package var rawValue: UInt64
  @inlinable package init(_ rawValue: UInt64) { self.rawValue = rawValue }
  /// The version of the command at `ordinal` of the entry at `index`.
  @inlinable package init(index: LogIndex, ordinal: UInt32) {
    precondition(ordinal < 1 << 20, "an entry holds fewer than 2^20 commands")
    precondition(index.rawValue < 1 << 44, "a log has fewer than 2^44 entries")
    rawValue = index.rawValue << 20 | UInt64(ordinal)
  }
  @inlinable package static var zero: Self { Timestamp(0) }
  @inlinable package static func < (a: Timestamp, b: Timestamp) -> Bool { a.rawValue < b.rawValue }
  @inlinable package var description: String { String(rawValue) }
}

/// A moment of CLOCK_BOOTTIME in nanoseconds. Never compared between machines.
@usableFromInline package struct Instant: Hashable, Comparable, Sendable, CustomStringConvertible {
  @usableFromInline package var nanoseconds: UInt64
  @inlinable package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }
  @inlinable package static var zero: Self { Instant(nanoseconds: 0) }
  @inlinable package static var never: Self { Instant(nanoseconds: .max) }
  @inlinable package static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
  /// Later by `duration`; saturates at `never`.
  @inlinable package static func + (a: Instant, duration: Nanoseconds) -> Instant {
    let (sum, overflow) = a.nanoseconds.addingReportingOverflow(duration.rawValue)
    return overflow ? .never : Instant(nanoseconds: sum)
  }
  /// The time from `b` to `a`; zero when `a` is the earlier one.
  @inlinable package static func - (a: Instant, b: Instant) -> Nanoseconds {
    Nanoseconds(a.nanoseconds > b.nanoseconds ? a.nanoseconds - b.nanoseconds : 0)
  }
  @inlinable package var description: String {
    "\(nanoseconds / 1_000_000).\(String(nanoseconds / 1000 % 1000 + 1000).dropFirst())ms"
  }
}

/// A length of time, never negative.
@usableFromInline package struct Nanoseconds: Hashable, Comparable, Sendable {
  @usableFromInline package var rawValue: UInt64
  @inlinable package init(_ rawValue: UInt64) { self.rawValue = rawValue }
  @inlinable package static var zero: Self { Nanoseconds(0) }
  @inlinable package static func microseconds(_ n: UInt64) -> Nanoseconds { Nanoseconds(n * 1000) }
  @inlinable package static func milliseconds(_ n: UInt64) -> Nanoseconds { Nanoseconds(n * 1_000_000) }
  @inlinable package static func seconds(_ n: UInt64) -> Nanoseconds { Nanoseconds(n * 1_000_000_000) }
  @inlinable package static func < (a: Nanoseconds, b: Nanoseconds) -> Bool { a.rawValue < b.rawValue }
  @inlinable package static func + (a: Nanoseconds, b: Nanoseconds) -> Nanoseconds {
    Nanoseconds(a.rawValue + b.rawValue)
  }
  /// Rounded down, and at most what 32 bits hold (49 days).
  package var wholeMilliseconds: UInt32 { UInt32(min(rawValue / 1_000_000, UInt64(UInt32.max))) }
}
