/// Why some text or JSON is no value of a column's type. Trivial, because it is thrown on hot paths.
enum Mismatch: UInt8, Error {
  case notBool
  case notInteger
  case integerRange
  case notNumber
  case numberRange
  case notDecimal
  case decimalDigits
  case notText
  case notUTF8
  case notBase64
  case notTimestamp
  case timestampRange
  case notUUID
  case null
  case percentEncoding

  /// Completes "the value of column x …".
  var text: String {
    switch self {
    case .notBool: "must be true or false"
    case .notInteger: "must be a whole number written in full, without fraction or exponent"
    case .integerRange: "is outside of int64 (-9223372036854775808 to 9223372036854775807)"
    case .notNumber: "must be a number"
    case .numberRange: "is outside of float64 (infinity and NaN cannot be stored)"
    case .notDecimal: "must be a decimal number as a string, such as \"12.50\""
    case .decimalDigits: "has more than 38 digits, or more than 38 of them behind the point"
    case .notText: "must be a string"
    case .notUTF8: "is not valid UTF-8"
    case .notBase64: "must be base64 (base64url in a path)"
    case .notTimestamp: "must be an RFC 3339 time with at most six digits of fraction, such as 2025-01-31T12:00:00.5Z"
    case .timestampRange: "is outside of the years 0000 to 9999"
    case .notUUID: "must be a UUID, such as 123e4567-e89b-12d3-a456-426614174000"
    case .null: "must not be null"
    case .percentEncoding: "has a % that two hexadecimal digits do not follow"
    }
  }
}
