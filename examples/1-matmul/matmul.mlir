// One matrix product: x [batch, in] times w [in, out].
module @matmul {
  func.func public @main(%w: tensor<1024x4096xf32>, %x: tensor<256x1024xf32>) -> tensor<256x4096xf32> {
    %y = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] : (tensor<256x1024xf32>, tensor<1024x4096xf32>) -> tensor<256x4096xf32>
    return %y : tensor<256x4096xf32>
  }
}
