"""A flax convolutional network and an optax optimizer. train.py trains with JAX; train.py --export FOLDER writes the same step,
its first values and its data for alpa."""
import os
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training.train_state import TrainState


class Classifier(nn.Module):
    @nn.compact
    def __call__(self, x):  # [batch, 28, 28, 1] -> [batch, 10]
        for features in 16, 32:
            x = nn.relu(nn.Conv(features, (3, 3), strides=2)(x))
        return nn.Dense(10)(nn.relu(nn.Dense(64)(x.reshape(len(x), -1))))


def train_step(state, batch):
    def loss(params):
        logits = state.apply_fn(params, batch["image"])
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]).mean()
    value, grads = jax.value_and_grad(loss)(state.params)
    return state.apply_gradients(grads=grads), value


def images(n):
    """Noise with a bright row that says which class an image is of."""
    random = np.random.RandomState(0)
    label = random.randint(0, 10, n).astype(np.int32)
    image = random.randn(n, 28, 28, 1).astype(np.float32)
    image[np.arange(n), 2 * label + 4] += 2
    return {"image": image, "label": label}


data, size = images(4096), 64
batch = {name: array[:size] for name, array in data.items()}
model = Classifier()
schedule = optax.warmup_cosine_decay_schedule(0.0, 3e-3, 10, 60)
state = TrainState.create(apply_fn=model.apply, params=model.init(jax.random.key(0), batch["image"]),
                          tx=optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule)))
step = jax.jit(train_step, donate_argnums=0, keep_unused=True)

if "--export" in sys.argv:  # what is new
    folder = sys.argv[sys.argv.index("--export") + 1]
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "step.mlirbc"), "wb") as f:
        f.write(jax.export.export(step)(state, batch).mlir_module_serialized)
    leaves = jax.tree.leaves((state, batch))
    np.savez(os.path.join(folder, "init.npz"), **{f"in/{i:04d}": jnp.asarray(leaf) for i, leaf in enumerate(leaves)})
    np.savez(os.path.join(folder, "data.npz"), **data)
    print(f"{len(leaves)} inputs written to {folder}")
else:
    for i in range(60):
        at = i * size % 4096
        state, loss = step(state, {name: array[at:at + size] for name, array in data.items()})
        if i % 20 == 19:
            print(f"step {i + 1}: loss {loss:.4f}")
