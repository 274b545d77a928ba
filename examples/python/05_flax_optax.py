"""A flax model with dropout, trained by an optax optimizer with clipping and a schedule."""
import os

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=4")

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training.train_state import TrainState

import alpa


class Classifier(nn.Module):
    @nn.compact
    def __call__(self, x):  # [batch, 28, 28, 1] -> [batch, 10]
        for features in 16, 32:
            x = nn.relu(nn.Conv(features, (3, 3), strides=2)(x))
        x = nn.relu(nn.Dense(64)(x.reshape(len(x), -1)))
        return nn.Dense(10)(nn.Dropout(0.1, deterministic=False)(x))


class State(TrainState):
    rng: jax.Array


def train_step(state, batch):
    rng, dropout = jax.random.split(state.rng)

    def loss(params):
        logits = state.apply_fn(params, batch["image"], rngs={"dropout": dropout})
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]).mean(), logits
    (value, logits), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
    metrics = {"loss": value, "accuracy": jnp.mean(logits.argmax(-1) == batch["label"])}
    return state.apply_gradients(grads=grads).replace(rng=rng), metrics


def batches():
    """Images of noise with a bright row that says which class they are of."""
    random = np.random.RandomState(0)
    while True:
        label = random.randint(0, 10, 64)
        image = random.randn(64, 28, 28, 1).astype("f")
        image[np.arange(64), 2 * label + 4] += 3
        yield {"image": image, "label": label.astype(np.int32)}


model, data = Classifier(), batches()
params = model.init({"params": jax.random.key(0), "dropout": jax.random.key(1)}, next(data)["image"])
schedule = optax.warmup_cosine_decay_schedule(0.0, 3e-3, 10, 60)
state = State.create(apply_fn=model.apply, params=params, rng=jax.random.key(2),
                     tx=optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule)))

train = alpa.parallelize(train_step)
for i in range(60):
    state, metrics = train(state, next(data))
    if i % 10 == 9:
        print(f"step {int(state.step)}: loss {metrics['loss']:.4f}, accuracy {metrics['accuracy']:.2f}")
assert metrics["accuracy"] > 0.8
