"""Raw columns of movies to feature vectors, as Spark columns."""

from __future__ import annotations

import json

from pyspark.ml.feature import (
    CountVectorizerModel,
    ElementwiseProduct,
    HashingTF,
    Normalizer,
    VectorAssembler,
    VectorSizeHint,
)
from pyspark.ml.functions import array_to_vector
from pyspark.ml.linalg import Vectors
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from genre_spark.features.blocks import (
    CHARACTERS,
    CategoriesBlock,
    CharactersBlock,
    EmbeddingBlock,
    NumbersBlock,
    WordsBlock,
)
from genre_spark.features.spark_characters import character_vectors
from genre_spark.features.spark_columns import (
    PREFIX,
    Preparation,
    finite_vector,
    prepare_columns,
)
from genre_spark.features.specification import FeatureSpecification
from genre_spark.schemas import FEATURES

__all__ = ["add_features", "assemble_features", "count_words", "wanted_columns", "word_lists"]

_COUNTS = f"{PREFIX}counts"
_LISTED = f"{PREFIX}listed"


def add_features(
    movies: DataFrame, specification: FeatureSpecification, *, output: str = FEATURES
) -> DataFrame:
    """Add the feature vector of each movie to its raw columns.

    Args:
        movies: with any of the raw columns date, minute, rating, name, tagline, description
            (text or numbers), countries, languages, studios, themes, people (arrays of text),
            text_embedding, poster_summary, poster_embedding (vectors or arrays of numbers). A
            column or a value may be missing.
        specification: learnt from training movies.
        output: name of the new column.

    Raises:
        InvalidInputError: a raw column is there twice or has a type that it cannot have.
    """
    prepared = prepare_columns(movies, wanted_columns(specification))
    return assemble_features(prepared, specification, output=output)


def wanted_columns(specification: FeatureSpecification) -> Preparation:
    """Return what a specification reads of the raw columns."""
    numbers = specification.part("numbers")
    words = specification.part("words")
    characters = specification.part(CHARACTERS)
    return Preparation(
        fields=numbers.fields if isinstance(numbers, NumbersBlock) else (),
        categories=tuple(
            part.name for part in specification.parts if isinstance(part, CategoriesBlock)
        ),
        texts=words.texts if isinstance(words, WordsBlock) else (),
        stop_words=words.stop_words if isinstance(words, WordsBlock) else (),
        characters=characters.texts if isinstance(characters, CharactersBlock) else (),
    )


def assemble_features(
    prepared: DataFrame, specification: FeatureSpecification, *, output: str = FEATURES
) -> DataFrame:
    """Put the prepared columns together to one vector and drop them; see `add_features`.

    Args:
        prepared: as `prepare_columns` returns it.
        specification: learnt from training movies.
        output: name of the new column.
    """
    movies, inputs = prepared, list[str]()
    for part in specification.parts:
        if isinstance(part, NumbersBlock):
            movies, names = _add_numbers(movies, part)
        elif isinstance(part, CategoriesBlock):
            movies, names = _add_categories(movies, part)
        elif isinstance(part, WordsBlock):
            movies, names = _add_words(movies, part)
        elif isinstance(part, CharactersBlock):
            movies, names = _add_characters(movies, part)
        else:
            movies, names = _add_embedding(movies, part)
        inputs += names
    assembler = VectorAssembler(inputCols=inputs, outputCol=output, handleInvalid="error")
    whole = assembler.transform(movies)
    return whole.drop(*[name for name in whole.columns if name.startswith(PREFIX)])


def word_lists(*, ngrams: int) -> Column:
    """Return the words and n-grams of all texts of a movie, made of its prepared column.

    N-grams do not reach from one text into the next.
    """
    texts = F.col(f"{PREFIX}words")
    if ngrams == 1:
        return F.flatten(texts)
    return F.flatten(F.transform(texts, lambda words: _with_ngrams(words, ngrams)))


def count_words(prepared: DataFrame, part: WordsBlock) -> DataFrame:
    """Add the counts of a movie's words, a sparse vector, as the column `_features_counts`."""
    listed = prepared.withColumn(_LISTED, word_lists(ngrams=part.ngrams))
    size = len(part.idf)
    if part.vocabulary is None:
        counter = HashingTF(numFeatures=size, inputCol=_LISTED, outputCol=_COUNTS)
        return counter.transform(listed)
    return _count(listed, _LISTED, _COUNTS, part.vocabulary, binary=False)


def _with_ngrams(words: Column, longest: int) -> Column:
    parts = [words]
    for length in range(2, longest + 1):
        count = F.size(words) - F.lit(length - 1)
        joined = F.slice(words, 1, count)
        for start in range(2, length + 1):
            joined = F.zip_with(
                joined,
                F.slice(words, start, count),
                lambda left, right: F.concat_ws(" ", left, right),
            )
        parts.append(F.when(count > 0, joined).otherwise(F.array().cast("array<string>")))
    return F.concat(*parts)


def _add_numbers(movies: DataFrame, part: NumbersBlock) -> tuple[DataFrame, list[str]]:
    filled, marks = {}, {}
    for name, median in zip(part.fields, part.medians, strict=True):
        value = F.col(PREFIX + name)
        filled[f"{PREFIX}{name}_filled"] = F.coalesce(value, F.lit(float(median)))
        marks[f"{PREFIX}{name}_missing"] = value.isNull().cast("double")
    return movies.withColumns({**filled, **marks}), [*filled, *marks]


def _add_categories(movies: DataFrame, part: CategoriesBlock) -> tuple[DataFrame, list[str]]:
    target = f"{PREFIX}{part.name}_known"
    return _count(movies, PREFIX + part.name, target, part.categories, binary=True), [target]


def _add_words(movies: DataFrame, part: WordsBlock) -> tuple[DataFrame, list[str]]:
    weighted, scaled = f"{PREFIX}weighted", f"{PREFIX}scaled"
    weights = Vectors.dense(part.idf)
    product = ElementwiseProduct(scalingVec=weights, inputCol=_COUNTS, outputCol=weighted)
    movies = product.transform(count_words(movies, part))
    if not part.unit_length:
        return movies, [weighted]
    return Normalizer(p=2.0, inputCol=weighted, outputCol=scaled).transform(movies), [scaled]


def _add_characters(movies: DataFrame, part: CharactersBlock) -> tuple[DataFrame, list[str]]:
    target = f"{PREFIX}ngrams"
    movies = movies.withColumn(target, character_vectors(F.col(PREFIX + CHARACTERS), part))
    return _with_size(movies, target, len(part.idf)), [target]


def _add_embedding(movies: DataFrame, part: EmbeddingBlock) -> tuple[DataFrame, list[str]]:
    known, target = f"{PREFIX}{part.name}", f"{PREFIX}{part.name}_filled"
    fill = F.from_json(F.lit(json.dumps(part.fill.tolist())), "array<double>")
    movies = movies.withColumn(known, finite_vector(movies, part.name, len(part.fill)))
    movies = movies.withColumn(target, array_to_vector(F.coalesce(known, fill)))
    movies = _with_size(movies, target, len(part.fill))
    if not part.marked:
        return movies, [target]
    mark = f"{PREFIX}{part.name}_missing"
    return movies.withColumn(mark, F.col(known).isNull().cast("double")), [target, mark]


def _with_size(movies: DataFrame, column: str, size: int) -> DataFrame:
    """Say how long a column's vectors are; else VectorAssembler runs a job for the first row's."""
    hint = VectorSizeHint(inputCol=column, size=size, handleInvalid="optimistic")
    return hint.transform(movies)


def _count(
    movies: DataFrame, source: str, target: str, vocabulary: tuple[str, ...], *, binary: bool
) -> DataFrame:
    model = CountVectorizerModel.from_vocabulary(
        list(vocabulary), inputCol=source, outputCol=target
    )
    return model.setBinary(binary).transform(movies)
