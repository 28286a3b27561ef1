"""Client properties as people have them: Java's and librdkafka's spelling, key stores, logins."""
