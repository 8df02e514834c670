//! L1, codecs: bounds-checked views of headers and the one internet checksum. Pure.
