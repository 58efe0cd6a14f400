"""Lists the operations in a LiteRT file."""

from pathlib import Path


def litert_operations(path: str | Path) -> list[str]:
    """The operations of a LiteRT file, sorted, each once.

    Builtin ones by their name in the schema (`CONV_2D`), all others as `custom:NAME`; TensorFlow
    operations that need the Flex delegate show as `custom:FlexNAME`.
    """
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if name[0] != "_"}
    model = schema.Model.GetRootAsModel(Path(path).read_bytes(), 0)
    operations = set()
    for index in range(model.OperatorCodesLength()):
        code = model.OperatorCodes(index)
        # Files of before 2020 keep the code in the older, narrower field.
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if builtin == schema.BuiltinOperator.CUSTOM:
            operations.add(f"custom:{(code.CustomCode() or b'?').decode()}")
        else:
            operations.add(names[builtin])
    return sorted(operations)
