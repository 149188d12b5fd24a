"""The process `rekindle observe`: reads topics, folds figures, tells what is unlike itself."""
