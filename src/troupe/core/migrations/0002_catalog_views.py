"""The views through which chat reads what core knows.

A later migration that alters a column they use must drop and make them again.
"""

from django.db import migrations

FORWARDS = """
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

CREATE VIEW catalog_persona AS
SELECT persona.id AS persona_id,
       persona.user_id,
       persona.name,
       persona.description,
       COALESCE(preferences.default_persona_id = persona.id, false) AS is_default
FROM core_persona AS persona
LEFT JOIN core_preferences AS preferences ON preferences.user_id = persona.user_id;

CREATE VIEW catalog_api_key AS
SELECT key.id AS key_id,
       key.sha256 AS key_sha256,
       key.user_id,
       owner.display_name AS user_name
FROM core_apikey AS key
JOIN core_user AS owner ON owner.id = key.user_id
WHERE key.revoked_at IS NULL AND owner.is_active;
"""

BACKWARDS = """
DROP VIEW catalog_api_key;
DROP VIEW catalog_persona;
DROP VIEW catalog_version;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]
    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
