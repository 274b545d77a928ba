module @step {
  func.func public @main(%arg0: tensor<4xf32>) {
    return
  }
}
