module @step {
}
