"""Lorebooks of imported cards, for chat to read with the versions that have them."""

from typing import Any

from django.db import migrations, models

FORWARDS = """
CREATE OR REPLACE VIEW catalog_version AS
SELECT version.id AS version_id,
       character.id AS character_id,
       character.slug,
       character.owner_id,
       character.visibility,
       version.name,
       version.tagline,
       version.description,
       version.greeting,
       version.alternate_greetings,
       version.definition,
       version.example_dialogues,
       version.avatar,
       version.tags,
       (character.deleted_at IS NULL AND character.current_id = version.id) AS is_current,
       version.created_at,
       card.lorebook
FROM core_characterversion AS version
JOIN core_character AS character ON character.id = version.character_id
LEFT JOIN core_importedcard AS card ON card.id = version.imported_id;
"""

BACKWARDS = """
DROP VIEW catalog_version;
CREATE VIEW catalog_version AS
SELECT version.id AS version_id,
       character.id AS character_id,
       character.slug,
       character.owner_id,
       character.visibility,
       version.name,
       version.tagline,
       version.description,
       version.greeting,
       version.alternate_greetings,
       version.definition,
       version.example_dialogues,
       version.avatar,
       version.tags,
       (character.deleted_at IS NULL AND character.current_id = version.id) AS is_current,
       version.created_at
FROM core_characterversion AS version
JOIN core_character AS character ON character.id = version.character_id;
"""


def read_books(apps: Any, _schema: Any) -> None:
    """Cards that were imported before have their lorebooks read now."""
    from troupe.core.cards import lorebook

    cards = apps.get_model("core", "ImportedCard").objects
    for card in cards.only("text").iterator(chunk_size=5):
        book = lorebook(card.text)
        if book is not None:
            cards.filter(id=card.id).update(lorebook=book)


class Migration(migrations.Migration):
    dependencies = [("core", "0002_catalog_views")]
    operations = [
        migrations.AddField("importedcard", "lorebook", models.JSONField(null=True)),
        migrations.RunPython(read_books, migrations.RunPython.noop, elidable=True),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
