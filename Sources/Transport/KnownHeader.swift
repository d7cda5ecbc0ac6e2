import Glibc

/// Request headers that mean something to us; all others are counted and forgotten.
@usableFromInline package enum KnownHeader: Int, CaseIterable, Sendable {
  case te, accept, expect, fsRead, ifMatch, fsRoute, userAgent, traceparent, contentType, requestID, grpcTimeout,
    authorization, ifNoneMatch, fsTimeout, grpcEncoding, contentLength, fsTransaction, idempotencyKey, acceptEncoding,
    grpcAcceptEncoding

  package var name: StaticString {
    switch self {
    case .te: "te"
    case .accept: "accept"
    case .expect: "expect"
    case .fsRead: "fs-read"
    case .ifMatch: "if-match"
    case .fsRoute: "fs-route"
    case .userAgent: "user-agent"
    case .traceparent: "traceparent"
    case .contentType: "content-type"
    case .requestID: "x-request-id"
    case .grpcTimeout: "grpc-timeout"
    case .authorization: "authorization"
    case .ifNoneMatch: "if-none-match"
    case .fsTimeout: "fs-timeout-ms"
    case .grpcEncoding: "grpc-encoding"
    case .contentLength: "content-length"
    case .fsTransaction: "fs-transaction"
    case .idempotencyKey: "idempotency-key"
    case .acceptEncoding: "accept-encoding"
    case .grpcAcceptEncoding: "grpc-accept-encoding"
    }
  }

  /// Tells names apart by their length first: at most three comparisons.
  init?(_ name: UnsafePointer<UInt8>, _ count: Int) {
    func be(_ candidate: KnownHeader) -> Bool { memcmp(candidate.name.utf8Start, name, count) == 0 }
    func first(_ a: KnownHeader, _ b: KnownHeader? = nil, _ c: KnownHeader? = nil) -> KnownHeader? {
      if be(a) { return a }
      if let b, be(b) { return b }
      if let c, be(c) { return c }
      return nil
    }
    let found: KnownHeader? =
      switch count {
      case 2: first(.te)
      case 6: first(.accept, .expect)
      case 7: first(.fsRead)
      case 8: first(.ifMatch, .fsRoute)
      case 10: first(.userAgent)
      case 11: first(.traceparent)
      case 12: first(.contentType, .requestID, .grpcTimeout)
      case 13: first(.authorization, .fsTimeout, .ifNoneMatch)
      case 14: first(.contentLength, .fsTransaction)
      case 15: first(.idempotencyKey, .acceptEncoding)
      case 20: first(.grpcAcceptEncoding)
      default: nil
      }
    // grpc-encoding has 13 bytes as well, the fourth of its length.
    guard let known = found ?? (count == 13 && be(.grpcEncoding) ? .grpcEncoding : nil) else { return nil }
    self = known
  }
}

@usableFromInline package enum HTTPMethod: UInt8, Sendable {
  case get, put, post, patch, delete, head, options, other

  init(_ name: UnsafePointer<UInt8>, _ count: Int) {
    func be(_ text: StaticString) -> Bool {
      count == text.utf8CodeUnitCount && memcmp(text.utf8Start, name, count) == 0
    }
    self =
      be("GET")
      ? .get
      : be("PUT")
        ? .put
        : be("POST")
          ? .post
          : be("DELETE")
            ? .delete
            : be("PATCH")
              ? .patch
              : be("HEAD") ? .head : be("OPTIONS") ? .options : .other
  }

  package var name: StaticString {
    switch self {
    case .get: "GET"
    case .put: "PUT"
    case .post: "POST"
    case .patch: "PATCH"
    case .delete: "DELETE"
    case .head: "HEAD"
    case .options: "OPTIONS"
    case .other: "?"
    }
  }
}
