"""Scores, predictions and reports of trained models, at the images' own size.

evaluator = ctx.evaluation.Evaluator(
    model, dataset.num_classes, dataset.ignore_label, dataset.class_names
)
examples = ctx.data.evaluation_examples(dataset, "val")
result = evaluator(examples)
print(result.table())
samples = ctx.evaluation.report_samples(evaluator, examples, result)
ctx.evaluation.write_report(result, samples, "report.html", dataset.palette)
"""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.evaluation.comparison.paired import compare
    from keras_ctxseg.evaluation.comparison.report import (
        DisputedImage,
        disputed_images,
        write_comparison,
    )
    from keras_ctxseg.evaluation.comparison.result import Comparison, Estimate
    from keras_ctxseg.evaluation.comparison.table import comparison_table
    from keras_ctxseg.evaluation.evaluator import Evaluator
    from keras_ctxseg.evaluation.report import write_report
    from keras_ctxseg.evaluation.result import EvaluationResult
    from keras_ctxseg.evaluation.samples import ReportSample, draw_side_by_side, report_samples
    from keras_ctxseg.evaluation.scored_images import ImageScore
    from keras_ctxseg.inference.predictor import Prediction, Predictor
    from keras_ctxseg.inference.protocol import PROTOCOLS, Protocol, named_protocol
    from keras_ctxseg.prediction.exported import predict_exported
    from keras_ctxseg.prediction.images import predict
    from keras_ctxseg.prediction.label_files import LabelFormat, label_format
    from keras_ctxseg.prediction.video import PredictedVideo, label_video, predict_video
    from keras_ctxseg.prediction.written_predictions import PredictedImage, PredictionResult

__getattr__, __dir__, __all__ = lazy_exports(__name__)
