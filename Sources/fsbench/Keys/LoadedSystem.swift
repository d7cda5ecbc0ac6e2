import FileStoreClient

/// What is asked over random keys.
enum KeyTask: String, CaseIterable { case write, read }

/// A system under load: where it is, what to send there, and what it counts itself.
protocol LoadedSystem: AnyObject {
  var name: String { get }
  var endpoint: Endpoint { get }
  /// Its processes, if their processor time is to be counted.
  var processes: [Int32] { get }

  func call(_ task: KeyTask) -> any Call
  /// Puts all keys, in groups.
  func filling(_ keys: UInt64) -> (call: any Call, groups: KeyGroups)
  /// Throws unless it holds at least so many keys.
  func checkHolds(_ keys: UInt64) throws(BenchError)
  /// Numbers that each rise by the number of requests of this kind. Throws when the node does not lead.
  func counters(_ task: KeyTask) throws(BenchError) -> [Counter]
}

struct Counter: Equatable {
  var name: String
  var value: Double

  /// Nil when each has risen by exactly `requests`; otherwise which one has not.
  static func fault(_ before: [Counter], _ after: [Counter], requests: Int) -> String? {
    for (old, new) in zip(before, after) where new.value - old.value != Double(requests) {
      return "\(requests) requests, but \(new.name) rose by \(Figure.number(new.value - old.value))"
    }
    return nil
  }

  /// Nil when the disks were flushed often enough: one flush makes at most those writes durable that were in flight.
  static func flushFault(rose: UInt64, requests: Int, inFlight: Int) -> String? {
    let least = (requests + inFlight - 1) / inFlight
    return rose >= least ? nil : "\(requests) writes, \(inFlight) in flight, but only \(rose) flushes of the disks"
  }
}
