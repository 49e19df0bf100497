//! Files that people send.

use bytes::Bytes;
use ruma::{
    MxcUri,
    api::{
        MatrixVersion,
        client::{authenticated_media, media},
        error::ErrorKind,
    },
};

use super::{
    client::{Actor, Homeserver, MatrixError},
    rooms::unwritable,
};

/// What a homeserver of before Matrix 1.11 calls its authenticated media, if it has them.
const STABLE_BEFORE_ITS_VERSION: &str = "org.matrix.msc3916.stable";

impl Homeserver {
    /// The bytes of a file, by the endpoint that asks who we are, or by that of older servers. Not more than `bytes_max`: of a larger
    /// one nothing is kept, and the error says so ([`MatrixError::is_too_large`]).
    pub async fn download(&self, uri: &MxcUri, bytes_max: usize) -> Result<Bytes, MatrixError> {
        if self.has_authenticated_media() {
            let request =
                authenticated_media::get_content::v1::Request::from_uri(uri).map_err(unwritable)?;
            match self.call_within(Actor::Bot, request, bytes_max).await {
                Err(error) if error.kind() == Some(&ErrorKind::Unrecognized) => {}
                answer => return Ok(answer?.file.into()),
            }
        }
        #[expect(deprecated, reason = "servers of before Matrix 1.11 have no other")]
        let request = media::get_content::v3::Request::from_url(uri).map_err(unwritable)?;
        let answer = self.call_within(Actor::Bot, request, bytes_max).await?;
        Ok(answer.file.into())
    }

    fn has_authenticated_media(&self) -> bool {
        let supported = self.supported();
        let mut versions = supported.versions.iter();
        let mut features = supported.features.iter();
        versions.any(|version| *version >= MatrixVersion::V1_11)
            || features.any(|feature| feature.as_str() == STABLE_BEFORE_ITS_VERSION)
    }
}
