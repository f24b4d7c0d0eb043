//! The request as it came: target, headers, preferences.
