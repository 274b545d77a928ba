"""alpa.parallelize: losses, where the state is, and what happens when something goes wrong."""
import contextlib
import copy
import gc
import io
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import unittest

import jax
import jax.numpy as jnp
import numpy as np

import alpa
import support


class Models(unittest.TestCase):
    """The same losses as jax.jit, on one mesh and in stages."""

    def check(self, name, tolerance=2e-4, ways=(support.MESH, support.STAGES), **more):
        import export
        from common import materialise
        from models import CONFIGS
        from stablehlo_export import flatten
        model = export.model_step(name, CONFIGS[name])
        leaves, avals = flatten(model)
        arrays = [jnp.asarray(materialise(l.spec, l.seed, l.dtype)) for l in leaves]
        args = jax.tree.unflatten(jax.tree.structure(avals), arrays)
        for how in ways:
            with self.subTest(name, **how):
                support.train_beside_jax(self, model.fn, args, 2, tolerance=tolerance, state_tolerance=float("inf"),
                                         **how, **more)

    def test_gpt(self):
        self.check("gpt_tiny")

    def test_moe(self):
        self.check("moe_tiny")

    def test_wide_resnet(self):
        # Batch norm has statistics of the whole batch, which microbatches have not.
        self.check("wresnet_tiny", 5e-3, [support.MESH])
        self.check("wresnet_tiny_gn", 5e-3, [support.STAGES])


class State(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.args = support.mlp(), support.batch()
        cls.train = alpa.parallelize(support.step, mesh="2x2", progress=False)

    @classmethod
    def tearDownClass(cls):
        cls.train.close()

    def test_stays_on_the_devices(self):
        support.train_beside_jax(self, support.step, self.args, 1, tolerance=1e-5, mesh="2x2")

    def test_is_an_array(self):
        params, loss = self.train(*self.args)
        self.assertIsInstance(loss, jax.Array)
        w = params["layers"][0]["w"]
        self.assertEqual((w.shape, w.dtype, w.ndim, w.size, w.nbytes, len(w)),
                         ((64, 64), np.float32, 2, 4096, 16384, 64))
        self.assertEqual(repr(w), "<alpa.DeviceArray float32[64,64]>")
        expected = jax.jit(support.step)(*self.args)[0]["layers"][0]["w"]
        for value in (np.asarray(w), jnp.asarray(w), jax.jit(lambda x: x)(w), w + 0, 0 + w, w[:], jax.device_get(w),
                      w.T.T, jnp.add(w, 0)):
            np.testing.assert_allclose(np.asarray(value), expected, rtol=1e-5, atol=1e-6)
        self.assertAlmostEqual(float(w.sum()), float(expected.sum()), places=3)
        self.assertAlmostEqual(float(jnp.sum(w)), float(expected.sum()), places=3)
        norm = jax.tree.map(lambda x: float(jnp.linalg.norm(jnp.asarray(x))), params)
        self.assertGreater(norm["layers"][0]["w"], 0)

    def test_copies_are_arrays_of_numpy(self):
        params, _ = self.train(*self.args)
        copied, pickled = copy.deepcopy(params), pickle.loads(pickle.dumps(params))
        self.train(params, self.args[1])
        self.assertIs(type(copied["out"]["w"]), np.ndarray)
        np.testing.assert_array_equal(copied["out"]["w"], pickled["out"]["w"])

    def test_of_an_older_step_is_gone(self):
        first, _ = self.train(*self.args)
        kept = jax.device_get(first["out"])
        second, _ = self.train(first, self.args[1])
        self.assertTrue(first["layers"][0]["w"].is_deleted())
        self.assertIn("replaced", repr(first["layers"][0]["w"]))
        with self.assertRaisesRegex(alpa.AlpaError, r"params\['layers'\]\[0\]\['w'\] is of a state that a later step"):
            np.asarray(first["layers"][0]["w"])
        with self.assertRaisesRegex(alpa.AlpaError, "is of a state that a later step has replaced"):
            self.train(first, self.args[1])
        np.testing.assert_array_equal(kept["w"], np.asarray(first["out"]["w"]))  # it was fetched in time
        self.train(second, self.args[1])  # nothing was lost by the error

    def test_of_the_user_at_any_time(self):
        one, loss = self.train(*self.args)
        self.train(one, self.args[1])
        again, loss_again = self.train(*self.args)  # from the beginning
        self.assertEqual(float(loss), float(loss_again))
        changed = dict(again, out=jax.tree.map(lambda x: jnp.zeros(x.shape), again["out"]))  # a part of it
        support.count_sent(self.train)
        _, loss = self.train(changed, self.args[1])
        self.assertEqual(self.train.sent, 2)
        self.assertAlmostEqual(float(loss), float(np.mean(self.args[1]["y"] ** 2)), places=5)

    def test_swapped_by_the_user(self):
        params, _ = self.train(*self.args)
        layers = params["layers"]
        reference = jax.device_get(params)
        swapped = dict(params, layers=[layers[1], layers[0], *layers[2:]])
        swapped_reference = dict(reference, layers=[reference["layers"][i] for i in (1, 0, 2, 3)])
        out = self.train(swapped, self.args[1])
        self.assertLess(support.largest_difference(out, jax.jit(support.step)(swapped_reference, self.args[1])), 1e-4)

    def test_other_shapes_and_structures(self):
        params, _ = self.train(*self.args)
        with self.assertRaisesRegex(alpa.AlpaError,
                                    r"batch\['x'\] is float32\[16,64\], the first call had float32\[32,64\]"):
            self.train(params, support.batch(16))
        with self.assertRaisesRegex(alpa.AlpaError, "another structure"):
            self.train(params, {"x": self.args[1]["x"]})
        self.train(params, {k: v.astype(np.float64) for k, v in self.args[1].items()})  # as jax.jit takes it

    def test_a_batch_changed_in_place(self):
        batch = support.copy(self.args[1])
        params, _ = self.train(self.args[0], batch)
        batch["y"][:] = 0
        out = self.train(params, batch)
        self.assertLess(float(out[1]), 0.9 * float(np.mean(self.args[1]["y"] ** 2)) + 1)
        again = self.train(self.args[0], {k: jnp.asarray(v) for k, v in batch.items()})
        self.assertAlmostEqual(float(again[1]), float(support.loss(self.args[0], batch)), places=5)


class Results(unittest.TestCase):
    def test_large_ones_are_kept_when_somebody_has_them(self):
        def step(params, batch):
            def loss(params):
                out = support.forward(params, batch["x"])
                return jnp.mean((out - batch["y"]) ** 2), out
            (value, out), grads = jax.value_and_grad(loss, has_aux=True)(params)
            return support.sgd(params, grads), {"loss": value, "out": out, "few": out[0]}
        args = support.mlp(out=128), support.batch(256, out=128)  # out: 128 KiB
        train = alpa.parallelize(step, mesh="2", progress=False)
        params, first = train(*args)
        expected = jax.jit(step)(*args)[1]
        self.assertIsInstance(first["out"], alpa.DeviceArray)
        self.assertIsInstance(first["few"], jax.Array)
        _, second = train(params, args[1])
        del second
        self.assertLess(support.largest_difference(first, expected), 1e-4)
        train.close()

    def test_constants(self):
        step = jax.jit(lambda params, batch, times: jax.lax.fori_loop(
            0, times, lambda _, c: support.step(c[0], batch), (params, 0.0)), static_argnums=2)
        train = alpa.parallelize(step, plan="data-parallel", devices=2, static_argnums=[2], progress=False)
        params, loss = train(support.mlp(), support.batch(), 3)
        self.assertAlmostEqual(float(loss), float(step(support.mlp(), support.batch(), 3)[1]), places=5)
        with self.assertRaisesRegex(alpa.AlpaError, "has changed since the first call: 4, was 3"):
            train(params, support.batch(), 4)
        train.close()

    def test_loss_first_and_metrics_in_any_structure(self):
        def step(batch, state):
            params, count = state
            value, grads = jax.value_and_grad(support.loss)(params, batch)
            return (value, {"count": count, "norms": [jnp.linalg.norm(g) for g in jax.tree.leaves(grads)]}), (
                support.sgd(params, grads), count + 1)
        train = alpa.parallelize(step, plan="data-parallel", devices=2, progress=False)
        state = support.mlp(), 0
        for i in range(3):
            (_, metrics), state = train(support.batch(), state)
            self.assertEqual(int(metrics["count"]), i)
        self.assertEqual(int(state[1]), 3)
        support.count_sent(train)
        train(support.batch(), state)
        self.assertEqual(train.sent, 0)
        train.close()


class Auto(unittest.TestCase):
    def test_measured(self):
        support.train_beside_jax(self, support.step, (support.mlp(), support.batch()), 1, tolerance=1e-5, plan="auto")


class Trouble(unittest.TestCase):
    def setUp(self):
        self.args = support.mlp(), support.batch()

    def start(self, **how):
        train = alpa.parallelize(support.step, **{"mesh": "2", "progress": False, **how})
        self.addCleanup(train.close)
        params, _ = train(*self.args)
        return train, params

    def test_the_first_call_shows_progress(self):
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            self.start(progress=True)
        self.assertRegex(said.getvalue(),
                         r"(?s)planning step.*planned in .* s: .*mesh 2.*compiling for 2 devices.*compiled in")

    def test_the_process_dies(self):
        train, params = self.start()
        os.kill(train._server._process.pid, signal.SIGKILL)
        for _ in range(2):
            with self.assertRaisesRegex(alpa.AlpaError, "the process with the devices was ended by signal 9"):
                train(params, self.args[1])
        with self.assertRaisesRegex(alpa.AlpaError, "signal 9"):
            np.asarray(params["out"]["w"])

    def test_requests_that_make_no_sense(self):
        train, params = self.start()
        server = train._server
        for request, arrays in (({}, []), ({"op": "dance"}, []), ({"op": "step", "inputs": "all"}, []),
                                ({"op": "state", "inputs": [99]}, []), ({"op": "fetch", "inputs": [-1]}, []),
                                ({"op": "state", "inputs": [0]}, [np.ones(1, np.float32)])):
            with self.assertRaises(alpa.AlpaError):
                server._ask(request, arrays)
        train(params, self.args[1])  # it goes on

    def test_closed(self):
        train, params = self.start()
        train.close()
        with self.assertRaisesRegex(alpa.AlpaError, "closed"):
            train(params, self.args[1])

    def test_the_process_ends_with_us(self):
        train, params = self.start()
        pid = train._server._process.pid
        del train, params
        self.doCleanups()
        gc.collect()
        with self.assertRaises(ProcessLookupError):
            os.kill(pid, 0)

    def test_the_process_ends_when_we_are_killed(self):
        child = subprocess.Popen([sys.executable, "-c", """
import support, alpa, time
train = alpa.parallelize(support.step, plan="data-parallel", devices=1, progress=False)
train(support.mlp(), support.batch())
print(train._server._process.pid, flush=True)
time.sleep(100)
"""], stdout=subprocess.PIPE, text=True)
        pid = int(child.stdout.readline())
        os.kill(pid, 0)
        child.kill()
        child.wait()
        child.stdout.close()
        for _ in range(100):
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            with open(f"/proc/{pid}/stat") as f:
                if f.read().rpartition(")")[2].split()[0] == "Z":  # ended, and nobody has looked
                    return
            time.sleep(0.1)
        self.fail("the process with the devices lives on")

    def test_interrupted(self):
        train, params = self.start()
        receive, slow = train._server._receive, threading.Event()

        def slowly():
            slow.set()
            time.sleep(0.5)
            return receive()
        train._server._receive = slowly
        main = threading.get_ident()
        threading.Thread(target=lambda: (slow.wait(), signal.pthread_kill(main, signal.SIGINT))).start()
        with self.assertRaises(KeyboardInterrupt):
            train(params, self.args[1])
        train._server._receive = receive
        # The answer was waited for, so that what is said next is understood.
        params, loss = train(*self.args)
        self.assertAlmostEqual(float(loss), float(support.loss(*self.args)), places=5)

    def test_a_given_plan(self):
        plan = alpa.plan(support.step, *self.args, cluster="local:1x2", stages=2, microbatches=2)
        train = alpa.parallelize(support.step, plan=plan, progress=False)
        self.addCleanup(train.close)
        _, loss = train(*self.args)
        self.assertAlmostEqual(float(loss), float(support.loss(*self.args)), places=5)
        self.assertIs(train.plan, plan)
        double = support.step_of(lambda p, b: 2 * support.loss(p, b))
        other = alpa.parallelize(double, plan=alpa.load(plan.path), progress=False)
        with self.assertRaisesRegex(alpa.AlpaError, "another model"):
            other(*self.args)


if __name__ == "__main__":
    unittest.main()
