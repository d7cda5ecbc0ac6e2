import Foundation

/// Rows of the test's table as the API prints them.
enum RowText {
  struct Row: Decodable {
    var id: String
    var value: UInt64
  }

  struct Page: Decodable {
    var rows: [Row]
    var cursor: String?
  }

  static func value(_ body: [UInt8]) -> UInt64? {
    (try? JSONDecoder().decode(Row.self, from: Data(body)))?.value
  }

  static func page(_ body: [UInt8]) -> Page? { try? JSONDecoder().decode(Page.self, from: Data(body)) }
}
