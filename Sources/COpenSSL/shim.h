#pragma once
#include <openssl/ssl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

// Function-like and variadic macros that Swift cannot import.
static inline EVP_PKEY *fs_generate_p256(void) { return EVP_EC_gen("P-256"); }
static inline int fs_ssl_tls13_only(SSL_CTX *c) {
  return SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) && SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION);
}
static inline void fs_ssl_no_session_cache(SSL_CTX *c) { SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF); }
static inline int fs_ssl_server_name(SSL *s, const char *name) { return (int)SSL_set_tlsext_host_name(s, name); }
static inline void fs_bio_retry_read(BIO *b) { BIO_set_retry_read(b); }
static inline void fs_bio_clear_retry(BIO *b) { BIO_clear_retry_flags(b); }
static inline long fs_bio_memory(BIO *b, char **bytes) { return BIO_get_mem_data(b, bytes); }
