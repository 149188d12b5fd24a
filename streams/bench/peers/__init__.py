"""The same reduced job in three engines, side by side: rekindle, Quix Streams, naive Faust."""
