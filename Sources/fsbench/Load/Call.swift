import Glibc
import Transport

/// One kind of request of a load. An *item* is what a request is about, as a number: a key, or a group of keys.
protocol Call: AnyObject {
  /// Begins `head` for an item; returns the body, valid until the next call.
  func make(_ item: UInt64, into head: HeaderBlock) -> UnsafeRawBufferPointer
  /// Throws unless the answer is the right one to that item.
  func check(_ answer: ResponseView, to item: UInt64) throws(WrongAnswer)
}

/// What is wrong with an answer. One of them ends the run: there are no figures of runs with errors.
struct WrongAnswer: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

extension StaticString {
  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: utf8Start, count: utf8CodeUnitCount) }
}

func sameBytes(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
  guard one.count == other.count else { return false }
  guard let first = one.baseAddress, let second = other.baseAddress else { return true }
  return memcmp(first, second, one.count) == 0
}
