"""The optimizer of all trainings: torch's SGD, ready in a millisecond."""

import inspect

import torch


class SGD(torch.optim.SGD):
    """torch's own methods without the decorators that import torch.compile's tracer at their first call.

    The decorators keep the tracer out of an optimizer that is compiled, which none is here. The import takes a second,
    which is a fifth of a short training.
    """

    add_param_group, load_state_dict, state_dict, zero_grad = (
        inspect.unwrap(getattr(torch.optim.SGD, name))
        for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
    )
    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))
