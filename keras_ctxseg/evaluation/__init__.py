"""Scores, predictions and reports of trained models, at the images' own size.

evaluator = ctx.evaluation.Evaluator(model, dataset.num_classes, dataset.ignore_label)
examples = ctx.data.evaluation_examples(dataset, "val")
result = evaluator(examples)
print(result.table())
samples = ctx.evaluation.report_samples(evaluator, examples, result)
ctx.evaluation.write_report(result, samples, "report.html", dataset.palette)
"""

from keras_ctxseg.evaluation.evaluator import Evaluator
from keras_ctxseg.evaluation.result import EvaluationResult, ImageScore

__all__ = [
    "EvaluationResult",
    "Evaluator",
    "ImageScore",
]
