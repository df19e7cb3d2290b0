"""Mutants of the formulae of second opinions and of attribution."""

from __future__ import annotations

from benchmarks.mutant import Mutant, of

METHOD_MUTANTS: list[Mutant] = [
    # Methods of other publications: outliers among the classes, margins, quartiles, the simplex.
    *of(
        "methods/outliers.py",
        "methods/test_frame.py",
        ("x - np.median(x)", "np.median(x) - x"),
        ("max(NORMAL * float(", "max(float("),
    ),
    *of(
        "methods/published/mm_bd.py",
        "methods/test_margins_and_masks.py",
        ("return own - others", "return own + others"),
        ("-math.expm1(len(margins) *", "-math.expm1(1 *"),
        ("x + p.rate * speed", "x - p.rate * speed"),
        ("leaf.clamp(0, 1)", "leaf"),
    ),
    *of(
        "methods/published/neural_cleanse.py",
        "methods/test_margins_and_masks.py::test_neural_cleanse_finds_the_class_that_one_pixel_commands",
        ("anomaly_indices(-norms)", "anomaly_indices(norms)"),
        ("norms.argmin()", "norms.argmax()"),
    ),
    *of(
        "methods/published/strip.py",
        "methods/test_margins_and_masks.py::test_the_rates_of_strip_follow_from_the_boundary"
        " methods/test_margins_and_masks.py::test_strip_rejects_images_whose_trigger_outweighs_all_else",
        ("self.stamped >= below", "self.stamped < below"),
        ("self.measuring < below", "self.measuring >= below"),
        ("self.said(1 - missed", "self.said(missed"),
    ),
    *of(
        "methods/published/free_eagle.py",
        "methods/test_units.py::test_the_largest_value_is_measured_from_the_quartiles_of_the_list",
        ("(x[-1] - high)", "(x[-1] - low)"),
        ("int(0.75 * len(x))", "int(0.5 * len(x))"),
    ),
    *of(
        "methods/published/trojannet_free.py",
        "methods/test_units.py::test_weights_on_the_simplex_are_the_nearest"
        " methods/test_units.py::test_pushed_noise_raises_the_score_that_the_trigger_unit_leads_to",
        ("down.cumsum(0) - 1", "down.cumsum(0) + 1"),
        ("excess[max(kept, 1) - 1]", "excess[0]"),
        ("after - before", "before - after"),
    ),
    *of(
        "methods/published/abs_units.py",
        "methods/test_units.py",
        ("key=lambda one: -one.elevation", "key=lambda one: one.elevation"),
        ("loss = -excited.mean()", "loss = excited.mean()"),
        ("raised - usual", "usual - raised"),
    ),
    *of(
        "methods/published/ulp.py",
        "methods/test_learnt.py::test_total_variation_is_the_sum_of_the_steps",
        ("return down + (", "return down - ("),
    ),
    # The search and the terms of TABOR.
    *of(
        "methods/inversions.py",
        "methods/test_inversions.py::test_the_smallest_trigger_that_leads_there_is_kept_and_else_the_last"
        " methods/test_inversions.py::test_the_class_that_one_pixel_commands_is_found",
        ("enough & (size < best_size)", "enough & (size > best_size)"),
        ("weight * p.up, weight / p.down", "weight / p.up, weight * p.down"),
        ("entropy + weight[part]", "entropy - weight[part]"),
    ),
    *of(
        "methods/published/tabor.py",
        "methods/test_inversions.py::test_the_terms_of_tabor_on_four_pixels_are_those_by_hand"
        " methods/test_inversions.py::test_what_the_mask_hides_and_what_the_trigger_does_alone_are_cross_entropies",
        ("flat.abs().sum(1) + flat", "flat.abs().sum(1) - flat"),
        ("outside = (1 - mask) *", "outside = mask *"),
        ("parts[..., 1:] - parts[..., :-1]", "parts[..., 1:] + parts[..., :-1]"),
        ("(1 - mask)[:, None] * x", "mask[:, None] * x"),
        ("network(mask * pattern)", "network((1 - mask) * pattern)"),
        ("+ t.scattered * scatter(mask)", "- t.scattered * scatter(mask)"),
    ),
    # Attribution: class activation maps, relevance, differences, attention.
    *of(
        "inspection/attribution/cams/cam.py",
        "inspection/attribution/test_cams.py",
        ("weight - weight.mean(0)", "weight"),
    ),
    *of(
        "inspection/attribution/cams/grad_cam_plus.py",
        "inspection/attribution/test_cams.py",
        ("2 * second + values", "2 * second - values"),
        ("g, g**2, g**3)", "g, g**2, g**2)"),
    ),
    *of(
        "inspection/attribution/squares/jsma.py",
        "inspection/attribution/test_squares.py",
        ("(gradient > 0).to(x)", "(gradient < 0).to(x)"),
        ("* (x != ends)", "* (x == ends)"),
        ("MOST * height * width", "2 * MOST * height * width"),
    ),
    *of(
        "inspection/attribution/rules/lrp.py",
        "inspection/attribution/test_rules.py inspection/attribution/test_attention.py",
        ("return half / 2", "return half"),
        ("torch.zeros_like(y), y / stable", "torch.zeros_like(y), y * stable"),
    ),
    *of(
        "inspection/attribution/rules/deep_lift.py",
        "inspection/attribution/test_rules.py",
        ("return own - reference", "return own + reference"),
        (
            "parts = torch.cat([higher - reference, own - higher])",
            "parts = torch.cat([own - higher, higher - reference])",
        ),
    ),
    *of(
        "inspection/attribution/rules/attention.py",
        "inspection/attribution/test_attention.py",
        ("q.shape[-1] ** -0.5", "q.shape[-1] ** 0.5"),
        ("logits = logits + attn_mask", "logits = logits - attn_mask"),
        ("zip(parts, weights, biases, strict=True)", "zip(parts, weights[::-1], biases, strict=True)"),
    ),
]
