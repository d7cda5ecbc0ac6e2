import Foundation
import Primitives

/// An engine on disk whose reads wait for their pages by themselves.
protocol BlockingEngine: AnyObject {
  /// Inserts all rows in key order, and brings them to disk.
  func load(_ rows: NumberedRows) throws(BenchError)
  /// One thread's way to read.
  func makeReader() throws(BenchError) -> any BlockingReader
}

protocol BlockingReader: AnyObject {
  /// Finds the value of a key and hands it over; nil when there is none.
  func read(_ key: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer?) -> Bool) throws(BenchError) -> Bool
}

/// Reads of random rows, as many at a time as there are threads.
final class ThreadedReads: @unchecked Sendable {
  private let engine: any BlockingEngine
  private let rows: NumberedRows
  /// Guards all below.
  private let lock = NSLock()
  private var end = ContinuousClock.now
  private var started = 0
  private var reads = 0
  private var failure: BenchError?

  init(_ engine: any BlockingEngine, rows: NumberedRows) {
    self.engine = engine
    self.rows = rows
  }

  /// Reads a second. All threads have ended when it returns: none of them still holds the engine.
  func run(threads: Int, seconds: Double) throws(BenchError) -> Double {
    let start = ContinuousClock.now
    lock.withLock { (end, started, reads) = (start + .seconds(seconds), 0, 0) }
    let running = startThreads(threads)
    for thread in running { pthread_join(thread, nil) }
    guard running.count == threads else { throw .failed("\(threads) threads cannot be started") }
    let (count, refusal) = lock.withLock { (reads, failure) }
    if let refusal { throw refusal }
    return Double(count) / ((ContinuousClock.now - start) / .seconds(1))
  }

  /// Fewer than asked for when the system refuses more.
  private func startThreads(_ count: Int) -> [pthread_t] {
    var running: [pthread_t] = []
    for _ in 0..<count {
      var thread = pthread_t()
      let reads = Unmanaged.passUnretained(self).toOpaque()
      let code = pthread_create(
        &thread, nil,
        { reads in
          if let reads { Unmanaged<ThreadedReads>.fromOpaque(reads).takeUnretainedValue().work() }
          return nil
        }, reads)
      guard code == 0 else { break }
      running.append(thread)
    }
    return running
  }

  private func work() {
    let (number, end) = lock.withLock {
      started += 1
      return (started, self.end)
    }
    var count = 0
    var failure: BenchError?
    do throws(BenchError) {
      let reader = try engine.makeReader()
      var random = SeededRandom(seed: UInt64(number))
      while ContinuousClock.now < end {
        try readOne(Int(random.below(UInt64(rows.count))), reader)
        count += 1
      }
    } catch { failure = error }
    lock.withLock {
      reads += count
      self.failure = self.failure ?? failure
    }
  }

  private func readOne(_ number: Int, _ reader: any BlockingReader) throws(BenchError) {
    var key = (UInt64(0), UInt64(0))
    let isRight = try withUnsafeMutableBytes(of: &key) { key throws(BenchError) in
      rows.writeKey(number, to: key)
      return try reader.read(UnsafeRawBufferPointer(key)) { value in
        value.map { rows.isValue($0, of: number) } ?? false
      }
    }
    guard isRight else { throw .failed("\(type(of: engine)): row \(number) is not what was inserted") }
  }
}

extension NumberedRows {
  /// Each row in its turn, its bytes valid during the call.
  func forEach(
    _ body: (_ number: Int, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(BenchError) -> Void
  ) throws(BenchError) {
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: NumberedRows.byteCount(rows: 1), alignment: 16)
    defer { bytes.deallocate() }
    bytes.initializeMemory(as: UInt8.self, repeating: 0)
    let key = UnsafeMutableRawBufferPointer(rebasing: bytes[..<Rows.keyBytes])
    let value = UnsafeMutableRawBufferPointer(rebasing: bytes[Rows.keyBytes...])
    for number in 0..<count {
      writeKey(number, to: key)
      writeValue(number, to: value)
      try body(number, UnsafeRawBufferPointer(key), UnsafeRawBufferPointer(value))
    }
  }
}
