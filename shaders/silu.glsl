// silu(z) = z * sigmoid(z). exp(-z) may become infinite for very negative z: the quotient is then -0.
float silu(float z)
{
    return z / (1.0 + exp(-z));
}
