import Node
import Primitives

/// The rows that paths work on: a key of 11 bytes, a row of about 100.
enum Items {
  static let count = 2000

  static let createTable = Array(
    """
    {"name":"items","columns":[{"name":"id","type":"text"},{"name":"name","type":"text"},\
    {"name":"amount","type":"int64"},{"name":"changed","type":"timestamp"},{"name":"note","type":"text","nullable":true}],\
    "primary_key":["id"]}
    """.utf8)

  static func key(_ number: Int) -> [UInt8] { Array("item-\(100_000 + number % count)".utf8) }

  static func path(_ number: Int) -> RowPath { RowPath(table: "items", key: key(number)) }

  static func row(_ number: Int) -> String {
    """
    {"name":"Chair number \(number % 90 + 10)","amount":\(1_000_000 + number),\
    "changed":"2026-03-01T12:30:00Z","note":"stands at the window, has four legs"}
    """
  }

  static func body(_ number: Int) -> [UInt8] { Array(row(number).utf8) }

  /// A batch that puts the items `from` and so many behind it.
  static func batch(from: Int, count: Int) -> [UInt8] {
    let operations = (from..<from + count).map { number in
      "{\"op\":\"put\",\"table\":\"items\",\"key\":\"\(String(decoding: key(number), as: UTF8.self))\","
        + "\"row\":\(row(number))}"
    }
    return Array("{\"operations\":[\(operations.joined(separator: ","))]}".utf8)
  }
}
